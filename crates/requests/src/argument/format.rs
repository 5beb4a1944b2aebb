//! The format of each type's values. Library parsers accept more; these accept exactly the documented format.

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;

use super::{ArgumentType, Bound};

/// Digits of a decimal that every database keeps exactly.
const MAX_DIGITS: usize = 38;

/// The greatest length of a time in bytes.
const MAX_TIME_BYTES: usize = 40;

/// Parses a value, or returns `None` for another format. An integer is not a text: `007` would have become `7`, which may be
/// another person.
pub(super) fn parse(kind: ArgumentType, given: &Scalar) -> Option<Bound> {
    match (kind, given) {
        (ArgumentType::Integer, Scalar::Int(number)) => Some(Bound::Integer(*number)),
        (ArgumentType::Decimal, Scalar::Int(number)) => Some(Bound::Decimal(number.to_string())),
        (_, Scalar::Int(_)) => None,
        (kind, Scalar::Text(text)) => parse_text(kind, text),
    }
}

/// Parses a value from its text format.
pub(super) fn parse_text(kind: ArgumentType, text: &str) -> Option<Bound> {
    match kind {
        ArgumentType::Text => (!text.contains('\0')).then(|| Bound::Text(text.to_owned())),
        ArgumentType::Integer => whole(text)
            .then(|| text.parse().ok())
            .flatten()
            .map(Bound::Integer),
        ArgumentType::Decimal => decimal(text).then(|| Bound::Decimal(text.to_owned())),
        ArgumentType::Date => date(text).map(Bound::Date),
        ArgumentType::Timestamp => instant(text).map(Bound::Timestamp),
        ArgumentType::Boolean => match text {
            "true" => Some(Bound::Boolean(true)),
            "false" => Some(Bound::Boolean(false)),
            _ => None,
        },
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn whole(text: &str) -> bool {
    digits(text.strip_prefix('-').unwrap_or(text))
}

fn decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    digits(whole) && digits(fraction) && unsigned.len() <= MAX_DIGITS + 1 && {
        unsigned.bytes().filter(u8::is_ascii_digit).count() <= MAX_DIGITS
    }
}

fn date(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day: Date = shape.then(|| text.parse().ok()).flatten()?;
    // Year 0 is 1 BC, which databases write differently.
    (day.year() >= 1).then_some(day)
}

fn instant(text: &str) -> Option<Timestamp> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"-+:.TZ".contains(&byte);
    let day = text.get(..10).and_then(date);
    let shape =
        text.len() <= MAX_TIME_BYTES && text.as_bytes().get(10) == Some(&b'T') && text.bytes().all(plain);
    let at: Timestamp = (shape && day.is_some()).then(|| text.parse().ok()).flatten()?;
    // In a zone ahead of UTC the instant may be before year 1.
    (at >= FIRST).then_some(at)
}

/// The first instant of year 1.
const FIRST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(kind: ArgumentType, text: &str) -> bool {
        parse(kind, &Scalar::Text(text.to_owned())).is_some()
    }

    #[test]
    fn format_of_each_type_accepts_no_other() {
        use ArgumentType::{Boolean, Date, Decimal, Integer, Text, Timestamp};
        for (kind, good, bad) in [
            (
                Text,
                vec!["", "O'Brien", "'; drop table setl; --", "张"],
                vec!["a\0b"],
            ),
            (
                Integer,
                vec!["0", "-7", "9223372036854775807"],
                vec![
                    "",
                    "-",
                    "+7",
                    " 7",
                    "7.0",
                    "1e3",
                    "0x7",
                    "9223372036854775808",
                    "1 or 1=1",
                ],
            ),
            (
                Decimal,
                vec!["0", "12.30", "-0.5", "99999999999999999999999999999999999999"],
                vec![
                    "",
                    ".",
                    "1.",
                    ".5",
                    "1e3",
                    "NaN",
                    "1,5",
                    "--1",
                    "+1",
                    "999999999999999999999999999999999999999",
                ],
            ),
            (
                Date,
                vec!["2026-01-31", "0001-01-01"],
                vec![
                    "2026-02-31",
                    "20260131",
                    "2026-1-31",
                    "0000-01-01",
                    "2026-01-31T00:00:00",
                    "today",
                    "infinity",
                ],
            ),
            (
                Timestamp,
                vec!["2026-01-31T08:00:00Z", "2026-01-31T08:00:00.123456+08:00"],
                vec![
                    "2026-01-31T08:00:00",
                    "2026-01-31 08:00:00Z",
                    "2026-01-31T08:00:00+08:00[Asia/Shanghai]",
                    "now",
                    "2026-01-31",
                    "0001-01-01T00:00:00+08:00",
                ],
            ),
            (Boolean, vec!["true", "false"], vec!["TRUE", "1", "t", "yes", ""]),
        ] {
            for text in good {
                assert!(reads(kind, text), "{kind:?} refuses {text:?}");
            }
            for text in bad {
                assert!(!reads(kind, text), "{kind:?} takes {text:?}");
            }
        }
    }

    #[test]
    fn format_integer_is_not_a_text() {
        let given = Scalar::Int(7);
        assert_eq!(parse(ArgumentType::Text, &given), None);
        assert_eq!(parse(ArgumentType::Date, &given), None);
        assert_eq!(parse(ArgumentType::Integer, &given), Some(Bound::Integer(7)));
        assert_eq!(
            parse(ArgumentType::Decimal, &given),
            Some(Bound::Decimal("7".to_owned()))
        );
    }
}
