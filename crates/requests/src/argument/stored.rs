//! Formats of dates and times in text or integer columns, and arguments in these formats.
//!
//! Texts are compared as texts and integers as integers, so a comparison is only correct in the column's own format. A format has
//! the parts of a time in descending order and of fixed width, so that the order of texts is the order of times.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemas::cursor::Scalar;

use super::{Argument, ArgumentError, ArgumentType, Bound};

/// A valid format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFormat {
    /// The format as configured.
    written: String,
    encoding: Encoding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Encoding {
    /// Parts and literal characters, in a zone.
    Pattern(Vec<Piece>, TimeZone),
    /// A count since 1970, with the nanoseconds of its unit.
    Unix(i128),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Part(Part),
}

/// A part of a time, in descending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Digits of the fraction.
    Fraction(u32),
}

/// The values of a column of a format, which the source compares its rows with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredAs {
    /// Texts that match a GLOB pattern.
    Text(String),
    /// Integers from the first, up to but not including the second, or zero.
    Integer(i64, i64),
}

/// Units of `unix_…` with the nanoseconds in each, and the range of contemporary times in the unit. Other units are outside it.
const UNIX: [(&str, i128, i64, i64); 3] = [
    ("unix_seconds", 1_000_000_000, 10_000_000, 100_000_000_000),
    ("unix_millis", 1_000_000, 100_000_000_000, 100_000_000_000_000),
    ("unix_micros", 1_000, 100_000_000_000_000, i64::MAX),
];

/// Why a format or its time zone is invalid, with the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The time zone is not known.
    #[error(
        "zone is not a known time zone: write its name in the IANA database, such as \"Asia/Shanghai\", and install \
         the operating system's tzdata"
    )]
    UnknownZone,
    /// The argument is neither a date nor a time.
    #[error("format is for arguments of type date and timestamp: leave it out")]
    OtherType,
    /// A date as a count since 1970.
    #[error("a date is not a number of seconds: use type = \"timestamp\"")]
    DateAsCount,
    /// Neither a count nor a valid pattern.
    #[error(
        "format is unix_seconds, unix_millis, unix_micros, or a pattern of %Y %m %d %H %M %S and %3f, %6f or %9f in this \
         order, such as \"%Y-%m-%d %H:%M:%S\", with no other letters than T and Z between"
    )]
    Pattern,
    /// A time without a zone.
    #[error(
        "format has no time zone: add zone = \"…\" to the kind, the zone of the column's times, such as \"Asia/Shanghai\""
    )]
    NoZone,
}

/// Returns the time zone of a name.
///
/// # Errors
/// [`FormatError::UnknownZone`].
pub fn time_zone(name: &str) -> Result<TimeZone, FormatError> {
    // jiff ignores case in zone names; PostgreSQL gets the name as configured.
    TimeZone::get(name).map_err(|_| FormatError::UnknownZone)
}

impl StoredFormat {
    /// Parses a format for an argument of this type. `zone` is the zone of the column's times.
    ///
    /// # Errors
    /// [`FormatError`], with the remedy.
    pub fn new(kind: ArgumentType, written: &str, zone: Option<&TimeZone>) -> Result<Self, FormatError> {
        let is_date = match kind {
            ArgumentType::Date => true,
            ArgumentType::Timestamp => false,
            _ => return Err(FormatError::OtherType),
        };
        let unix = UNIX.iter().find(|(name, ..)| *name == written);
        let encoding = match unix {
            Some(_) if is_date => return Err(FormatError::DateAsCount),
            Some((_, nanos, ..)) => Encoding::Unix(*nanos),
            None => pattern(written, is_date, zone)?,
        };
        Ok(Self {
            written: written.to_owned(),
            encoding,
        })
    }

    /// Returns the values of a column in this format.
    #[must_use]
    pub fn stored_as(&self) -> StoredAs {
        match &self.encoding {
            Encoding::Pattern(pieces, _) => StoredAs::Text(pieces.iter().map(Piece::glob).collect()),
            Encoding::Unix(_) => {
                let range = UNIX.iter().find(|(name, ..)| *name == self.written);
                range.map_or(StoredAs::Integer(i64::MIN, i64::MAX), |(.., from, below)| {
                    StoredAs::Integer(*from, *below)
                })
            }
        }
    }

    /// Formats an argument's value. Null and values of other types are unchanged.
    ///
    /// # Errors
    /// [`ArgumentError`] if the format cannot represent the value exactly.
    pub fn render(&self, argument: &Argument, bound: &Bound) -> Result<Option<Scalar>, ArgumentError> {
        match (bound, &self.encoding) {
            (Bound::Date(day), Encoding::Pattern(pieces, _)) => Ok(Some(Scalar::Text(written(
                pieces,
                day.to_datetime(jiff::civil::Time::midnight()),
            )))),
            (Bound::Timestamp(at), encoding) => self.instant(argument, *at, encoding).map(Some),
            (other, _) => Ok(other.scalar()),
        }
    }

    fn instant(
        &self,
        argument: &Argument,
        at: Timestamp,
        encoding: &Encoding,
    ) -> Result<Scalar, ArgumentError> {
        let finer = || ArgumentError::Finer {
            name: argument.name.clone(),
            format: self.written.clone(),
        };
        match encoding {
            Encoding::Unix(nanos) => {
                let all = at.as_nanosecond();
                let units = i64::try_from(all.div_euclid(*nanos)).map_err(|_| finer())?;
                if all.rem_euclid(*nanos) == 0 {
                    Ok(Scalar::Int(units))
                } else {
                    Err(finer())
                }
            }
            Encoding::Pattern(pieces, zone) => {
                let local = zone.to_datetime(at);
                if zone.to_ambiguous_timestamp(local).is_ambiguous() {
                    return Err(ArgumentError::Repeated {
                        name: argument.name.clone(),
                        zone: zone.iana_name().unwrap_or("the zone").to_owned(),
                    });
                }
                if !holds(pieces, local) {
                    return Err(finer());
                }
                Ok(Scalar::Text(written(pieces, local)))
            }
        }
    }
}

/// Parses a pattern such as `%Y-%m-%d %H:%M:%S`.
fn pattern(text: &str, is_date: bool, zone: Option<&TimeZone>) -> Result<Encoding, FormatError> {
    let wrong = || Err(FormatError::Pattern);
    let mut pieces = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            // A digit or letter could be taken for a part of the time.
            let is_plain = matches!(character, 'T' | 'Z') || !character.is_alphanumeric();
            if !is_plain || character.is_control() {
                return wrong();
            }
            pieces.push(Piece::Literal(character));
            continue;
        }
        let part = match characters.next() {
            Some('Y') => Part::Year,
            Some('m') => Part::Month,
            Some('d') => Part::Day,
            Some('H') => Part::Hour,
            Some('M') => Part::Minute,
            Some('S') => Part::Second,
            Some(digits @ ('3' | '6' | '9')) if characters.next() == Some('f') => {
                Part::Fraction(digits.to_digit(10).unwrap_or(9))
            }
            _ => return wrong(),
        };
        pieces.push(Piece::Part(part));
    }
    let parts: Vec<u8> = pieces.iter().filter_map(|piece| piece.rank()).collect();
    let in_order = parts
        .iter()
        .copied()
        .eq(0..u8::try_from(parts.len()).unwrap_or(u8::MAX));
    if !in_order || parts.len() < 3 || (is_date && parts.len() != 3) {
        return wrong();
    }
    // Z means UTC, in any zone of the core's other times.
    let is_utc = text.ends_with('Z');
    match (zone, is_utc) {
        (Some(zone), false) => Ok(Encoding::Pattern(pieces, zone.clone())),
        (None, false) if !is_date => Err(FormatError::NoZone),
        _ => Ok(Encoding::Pattern(pieces, TimeZone::UTC)),
    }
}

impl Piece {
    fn rank(&self) -> Option<u8> {
        Some(match self {
            Self::Literal(_) => return None,
            Self::Part(Part::Year) => 0,
            Self::Part(Part::Month) => 1,
            Self::Part(Part::Day) => 2,
            Self::Part(Part::Hour) => 3,
            Self::Part(Part::Minute) => 4,
            Self::Part(Part::Second) => 5,
            Self::Part(Part::Fraction(_)) => 6,
        })
    }

    fn glob(&self) -> String {
        match self {
            Self::Literal(special @ ('*' | '?' | '[')) => format!("[{special}]"),
            Self::Literal(literal) => literal.to_string(),
            Self::Part(Part::Year) => "[0-9]".repeat(4),
            Self::Part(Part::Fraction(digits)) => "[0-9]".repeat(usize::try_from(*digits).unwrap_or(9)),
            Self::Part(_) => "[0-9]".repeat(2),
        }
    }
}

/// Whether the pieces represent a time completely: omitted parts are zero.
fn holds(pieces: &[Piece], local: DateTime) -> bool {
    let has = |part: u8| pieces.iter().any(|piece| piece.rank() == Some(part));
    let digits = pieces.iter().find_map(|piece| match piece {
        Piece::Part(Part::Fraction(digits)) => Some(*digits),
        _ => None,
    });
    let unit = 10_i32.pow(9 - digits.unwrap_or(0).min(9));
    (has(3) || local.hour() == 0)
        && (has(4) || local.minute() == 0)
        && (has(5) || local.second() == 0)
        && (local.subsec_nanosecond() % unit == 0)
}

fn written(pieces: &[Piece], local: DateTime) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push(*literal),
            Piece::Part(Part::Year) => text.push_str(&format!("{:04}", local.year())),
            Piece::Part(Part::Month) => text.push_str(&format!("{:02}", local.month())),
            Piece::Part(Part::Day) => text.push_str(&format!("{:02}", local.day())),
            Piece::Part(Part::Hour) => text.push_str(&format!("{:02}", local.hour())),
            Piece::Part(Part::Minute) => text.push_str(&format!("{:02}", local.minute())),
            Piece::Part(Part::Second) => text.push_str(&format!("{:02}", local.second())),
            Piece::Part(Part::Fraction(digits)) => {
                let all = format!("{:09}", local.subsec_nanosecond());
                text.extend(all.chars().take(usize::try_from(*digits).unwrap_or(9)));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn argument(kind: ArgumentType) -> Argument {
        Argument {
            name: "from".to_owned(),
            kind,
            optional: false,
            max: None,
            one_of: Vec::new(),
            person: false,
            period: None,
            format: None,
        }
    }

    fn render(format: &str, zone: Option<&str>, at: &str) -> Result<String, String> {
        let zone = zone.map(|zone| time_zone(zone).unwrap());
        let format = StoredFormat::new(ArgumentType::Timestamp, format, zone.as_ref());
        let format = format.map_err(|error| error.to_string())?;
        let bound = Bound::Timestamp(at.parse().unwrap());
        let value = format.render(&argument(ArgumentType::Timestamp), &bound);
        match value.map_err(|error| error.to_string())? {
            Some(Scalar::Text(text)) => Ok(text),
            Some(Scalar::Int(number)) => Ok(number.to_string()),
            None => Ok("null".to_owned()),
        }
    }

    #[test]
    fn stored_format_renders_a_time_as_the_column() {
        let shanghai = Some("Asia/Shanghai");
        for (format, zone, at, wanted) in [
            (
                "%Y-%m-%d %H:%M:%S",
                shanghai,
                "2026-01-31T08:00:00Z",
                "2026-01-31 16:00:00",
            ),
            (
                "%Y-%m-%dT%H:%M:%S.%3f",
                shanghai,
                "2026-01-31T08:00:00.25Z",
                "2026-01-31T16:00:00.250",
            ),
            (
                "%Y-%m-%dT%H:%M:%SZ",
                None,
                "2026-01-31T08:00:00+08:00",
                "2026-01-31T00:00:00Z",
            ),
            ("%Y%m%d%H%M%S", shanghai, "2026-01-31T20:00:00Z", "20260201040000"),
            ("unix_seconds", None, "1970-01-01T00:00:07Z", "7"),
            ("unix_millis", None, "1970-01-01T00:00:07.5Z", "7500"),
            (
                "%Y-%m-%d %H:%M",
                shanghai,
                "2026-01-31T08:00:00Z",
                "2026-01-31 16:00",
            ),
        ] {
            assert_eq!(render(format, zone, at).as_deref(), Ok(wanted), "{format}");
        }
        let day = StoredFormat::new(ArgumentType::Date, "%Y%m%d", None).unwrap();
        let bound = Bound::Date("2026-01-31".parse().unwrap());
        let value = day.render(&argument(ArgumentType::Date), &bound).unwrap();
        assert_eq!(value, Some(Scalar::Text("20260131".to_owned())));
        assert_eq!(day.stored_as(), StoredAs::Text("[0-9]".repeat(8)));
    }

    #[test]
    fn stored_format_inexact_time_is_refused() {
        let berlin = Some("Europe/Berlin");
        for (format, zone, at, wanted) in [
            ("%Y-%m-%d %H:%M:%S", berlin, "2026-01-31T08:00:00.5Z", "finer"),
            ("unix_seconds", None, "2026-01-31T08:00:00.5Z", "finer"),
            ("%Y-%m-%d %H:%M", berlin, "2026-01-31T08:00:01Z", "finer"),
            ("%Y-%m-%d %H:%M:%S", berlin, "2026-10-25T00:30:00Z", "repeats"),
            ("%Y-%m-%d %H:%M:%S", berlin, "2026-10-25T01:30:00Z", "repeats"),
            ("%Y-%m-%d %H:%M:%S", None, "2026-01-31T08:00:00Z", "add zone"),
            ("%d.%m.%Y", berlin, "2026-01-31T08:00:00Z", "in this order"),
            ("%Y-%m", berlin, "2026-01-31T08:00:00Z", "in this order"),
            (
                "%Y-%m-%d %H:%M:%s",
                berlin,
                "2026-01-31T08:00:00Z",
                "in this order",
            ),
            ("%Y-%m-%d day", berlin, "2026-01-31T08:00:00Z", "in this order"),
        ] {
            let error = render(format, zone, at).unwrap_err();
            assert!(
                error.contains(wanted) && !error.contains("08:00"),
                "{format}: {error}"
            );
        }
        assert!(render("%Y-%m-%d %H:%M:%S", berlin, "2026-10-25T02:30:00Z").is_ok());
        assert!(StoredFormat::new(ArgumentType::Text, "%Y%m%d", None).is_err());
        assert!(time_zone("Nowhere/Town").is_err());
    }

    proptest! {
        /// The order of texts is the order of times, except in the hour that a zone repeats.
        #[test]
        fn stored_format_order_of_texts_is_that_of_times(one in 0_i64..4_000_000_000, other in 0_i64..4_000_000_000) {
            let text = |second: i64| {
                render("%Y-%m-%d %H:%M:%S", Some("Europe/Berlin"), &Timestamp::from_second(second).unwrap().to_string())
            };
            if let (Ok(a), Ok(b)) = (text(one), text(other)) {
                prop_assert_eq!(one.cmp(&other), a.cmp(&b));
            }
        }
    }
}
