//! The form of each type's values. Parsers of libraries take more than was promised; these take
//! exactly what the message to the asker says.

use jiff::Timestamp;
use jiff::civil::Date;
use schemas::cursor::Scalar;

use super::{ArgumentType, Bound};

/// Digits of a decimal: what every database keeps exactly.
const MOST_DIGITS: usize = 38;

/// Bytes of a time in its longest form.
const MOST_TIME: usize = 40;

/// The value in its type; none where it has another form. An integer is no text: `007` would have
/// become `7` on its way, which may be somebody else.
pub(super) fn parse(kind: ArgumentType, given: &Scalar) -> Option<Bound> {
    match (kind, given) {
        (ArgumentType::Integer, Scalar::Int(number)) => Some(Bound::Integer(*number)),
        (ArgumentType::Decimal, Scalar::Int(number)) => Some(Bound::Decimal(number.to_string())),
        (_, Scalar::Int(_)) => None,
        (kind, Scalar::Text(text)) => of_text(kind, text),
    }
}

/// A value from its text form.
pub(super) fn of_text(kind: ArgumentType, text: &str) -> Option<Bound> {
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
    digits(whole) && digits(fraction) && unsigned.len() <= MOST_DIGITS + 1 && {
        unsigned.bytes().filter(u8::is_ascii_digit).count() <= MOST_DIGITS
    }
}

fn date(text: &str) -> Option<Date> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day: Date = shape.then(|| text.parse().ok()).flatten()?;
    // Year 0 is 1 BC, which databases write otherwise.
    (day.year() >= 1).then_some(day)
}

fn instant(text: &str) -> Option<Timestamp> {
    let plain = |byte: u8| byte.is_ascii_digit() || b"-+:.TZ".contains(&byte);
    let day = text.get(..10).and_then(date);
    let shape = text.len() <= MOST_TIME && text.as_bytes().get(10) == Some(&b'T') && text.bytes().all(plain);
    let at: Timestamp = (shape && day.is_some()).then(|| text.parse().ok()).flatten()?;
    // A later zone may lie before year 1.
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
    fn each_type_takes_its_form_and_no_other() {
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
    fn an_integer_is_no_text() {
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
