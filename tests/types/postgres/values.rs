//! Values as texts that PostgreSQL reads; unusual ones are as frequent as the rest.

use super::super::rng::RandomValues as _;
use harness::rng::Rng;

pub(super) fn numeric(c: &mut Rng) -> String {
    let odd = c.pick(&[
        "NaN",
        "Infinity",
        "-Infinity",
        "0",
        "0.0000000000",
        "-0.1",
        "46.620000000000005",
    ]);
    if c.percent(30) {
        return odd.to_owned();
    }
    let (most, scale) = c.pick(&[(9, 3), (9, 3), (40, 40), (400, 0), (1, 300), (2_000, 1_500)]);
    let whole = c.below(most) + 1;
    let fraction = c.below(scale + 1);
    let point = if fraction > 0 {
        format!(".{}", c.digits(fraction))
    } else {
        String::new()
    };
    format!("{}{}{point}", c.pick(&["", "-"]), c.digits(whole))
}

fn day(c: &mut Rng) -> (String, &'static str) {
    let year = c.pick(&[1, 4, 44, 1582, 1752, 1900, 1970, 2000, 2026, 9999]) + c.below(3);
    let day = format!("{year:04}-{:02}-{:02}", c.below(12) + 1, c.below(28) + 1);
    (day, if year < 4_700 && c.percent(20) { " BC" } else { "" })
}

pub(super) fn date(c: &mut Rng) -> String {
    let (day, era) = day(c);
    let any = format!("{day}{era}");
    c.pick(&[
        "infinity",
        "-infinity",
        "4714-11-24 BC",
        "5874897-12-31",
        any.as_str(),
        any.as_str(),
        any.as_str(),
    ])
    .to_owned()
}

pub(super) fn clock(c: &mut Rng) -> String {
    let any = format!(
        "{:02}:{:02}:{:02}.{:06}",
        c.below(24),
        c.below(60),
        c.below(60),
        c.below(1_000_000)
    );
    c.pick(&[
        "24:00:00",
        "00:00:00",
        "23:59:59.999999",
        any.as_str(),
        any.as_str(),
    ])
    .to_owned()
}

pub(super) fn zone(c: &mut Rng) -> String {
    c.pick(&[
        "+00",
        "+05:45",
        "-03:30",
        "+14",
        "-12",
        "+08",
        "-04:56:02",
        "+12:45",
    ])
    .to_owned()
}

pub(super) fn instant(c: &mut Rng, zone: &str) -> String {
    let (day, era) = day(c);
    let any = format!(
        "{day} {:02}:{:02}:{:02}.{:06}{zone}{era}",
        c.below(24),
        c.below(60),
        c.below(60),
        c.below(1_000_000)
    );
    let last = format!("294276-12-30 23:59:59.999999{zone}");
    c.pick(&[
        "infinity",
        "-infinity",
        last.as_str(),
        any.as_str(),
        any.as_str(),
        any.as_str(),
    ])
    .to_owned()
}

pub(super) fn interval(c: &mut Rng) -> String {
    let sign = |c: &mut Rng| c.pick(&["", "-"]);
    let any = format!(
        "{}{} years {}{} mons {}{} days {}{}:{:02}:{:02}.{:06}",
        sign(c),
        c.below(200),
        sign(c),
        c.below(12),
        sign(c),
        c.below(4_000),
        sign(c),
        c.below(3_000),
        c.below(60),
        c.below(60),
        c.below(1_000_000),
    );
    c.pick(&[
        "0",
        "178000000 years",
        "-178000000 years",
        "-00:00:00.000001",
        "1 day -00:00:01",
        "2562047788:00:54.775807",
        any.as_str(),
        any.as_str(),
        any.as_str(),
    ])
    .to_owned()
}

pub(super) fn json(c: &mut Rng) -> String {
    let text = serde_json::Value::from(c.text(9)).to_string();
    let tree = format!("{{\"b\" : [1.50, -0.0, 12345678901234567890.1, {text}], \"a\":{{}},  \"b\": null}}");
    c.pick(&[
        "null",
        "5",
        "\"\"",
        "[]",
        "true",
        "1e400",
        tree.as_str(),
        tree.as_str(),
    ])
    .to_owned()
}

pub(super) fn array(c: &mut Rng, element: fn(&mut Rng) -> String) -> String {
    let count = c.below(5);
    let elements: Vec<String> = (0..count)
        .map(|_| {
            if c.percent(20) {
                return "NULL".to_owned();
            }
            format!("\"{}\"", element(c).replace('\\', "\\\\").replace('"', "\\\""))
        })
        .collect();
    format!("{{{}}}", elements.join(","))
}
