//! Formats of texts that hold a time.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

/// The format of a time as a text. Within one format the order of the texts is the order of the times.
///
/// The number of fraction digits may vary only if the text ends with them: `.` sorts before `Z` in `10:00:00.5Z` and `10:00:00Z`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimeFormat {
    /// The character between date and time, or `None` if the text is a date.
    pub(super) separator: Option<char>,
    /// Whether there are seconds.
    pub(super) seconds: bool,
    /// Digits of the fraction, or `None` for any number of them.
    pub(super) fraction: Option<usize>,
    /// `Z`, `+08:00`, or nothing.
    pub(super) zone: String,
}

struct Parts<'a> {
    day: &'a str,
    separator: Option<char>,
    clock: &'a str,
    fraction: Option<&'a str>,
    zone: &'a str,
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text has digits where the picture has `0`, and is equal elsewhere.
fn is_like(text: &str, picture: &str) -> bool {
    text.len() == picture.len()
        && text.bytes().zip(picture.bytes()).all(|(byte, like)| {
            if like == b'0' {
                byte.is_ascii_digit()
            } else {
                byte == like
            }
        })
}

fn parts(text: &str) -> Option<Parts<'_>> {
    let (day, rest) = text.split_at_checked(10)?;
    if !is_like(day, "0000-00-00") {
        return None;
    }
    if rest.is_empty() {
        return Some(Parts {
            day,
            separator: None,
            clock: "",
            fraction: None,
            zone: "",
        });
    }
    let separator = rest.chars().next().filter(|sign| matches!(sign, ' ' | 'T'))?;
    let rest = rest.get(1..)?;
    let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let is_zone = zone.is_empty()
        || zone == "Z"
        || zone
            .get(1..)
            .is_some_and(|zone| is_like(zone, "00") || is_like(zone, "0000") || is_like(zone, "00:00"));
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let whole = is_like(clock, "00:00:00");
    let good = is_zone
        && (whole || (is_like(clock, "00:00") && fraction.is_none()))
        && fraction.is_none_or(|fraction| !fraction.is_empty() && fraction.len() <= 9 && digits(fraction));
    good.then_some(Parts {
        day,
        separator: Some(separator),
        clock,
        fraction,
        zone,
    })
}

impl TimeFormat {
    /// Returns the format of a text. `bytewise`: texts are ordered by their bytes, so `+` and `-` before a zone sort before digits
    /// and the point.
    pub(crate) fn detect(text: &str, bytewise: bool) -> Option<Self> {
        let parts = parts(text)?;
        let seconds = parts.clock.len() == 8;
        let open = seconds && (parts.zone.is_empty() || (bytewise && parts.zone != "Z"));
        Some(Self {
            separator: parts.separator,
            seconds,
            fraction: (!open).then(|| parts.fraction.map_or(0, str::len)),
            zone: parts.zone.to_owned(),
        })
    }

    /// Returns the zone's offset from UTC in minutes, or `None` if the text names no zone.
    pub(crate) fn offset_minutes(&self) -> Option<i64> {
        if self.zone.is_empty() {
            return None;
        }
        let digits: String = self.zone.chars().filter(char::is_ascii_digit).collect();
        let part = |at: usize| digits.get(at..at + 2).and_then(|text| text.parse::<i64>().ok());
        let minutes = part(0).unwrap_or(0) * 60 + part(2).unwrap_or(0);
        Some(if self.zone.starts_with('-') {
            -minutes
        } else {
            minutes
        })
    }

    /// Returns nanoseconds since 1970 in the text's own zone, for differences.
    pub(crate) fn nanos(text: &str) -> Option<i128> {
        let parts = parts(text)?;
        let day: Date = parts.day.parse().ok()?;
        let clock: Time = match parts.clock.len() {
            0 => Time::midnight(),
            5 => format!("{}:00", parts.clock).parse().ok()?,
            _ => parts.clock.parse().ok()?,
        };
        let mut fraction = parts.fraction.unwrap_or("").to_owned();
        while fraction.len() < 9 {
            fraction.push('0');
        }
        let at = DateTime::from_parts(day, clock)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?;
        Some(at.timestamp().as_nanosecond() + fraction.parse::<i128>().ok()?)
    }

    /// Returns the number of fraction digits of a text of this format.
    pub(super) fn fraction_of(text: &str) -> usize {
        parts(text).and_then(|parts| parts.fraction).map_or(0, str::len)
    }

    /// Returns the greatest text of the format at an instant. A text without a zone is taken as UTC.
    pub(crate) fn text(&self, at: Timestamp) -> String {
        let ahead = jiff::SignedDuration::from_mins(self.offset_minutes().unwrap_or(0));
        let at = at.checked_add(ahead).unwrap_or(Timestamp::MAX);
        let at = at.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let mut text = at.date().to_string();
        let Some(separator) = self.separator else {
            return text;
        };
        text.push(separator);
        text.push_str(&format!("{:02}:{:02}", at.hour(), at.minute()));
        if self.seconds {
            text.push_str(&format!(":{:02}", at.second()));
            let fraction = format!("{:09}", at.subsec_nanosecond());
            match self.fraction {
                Some(0) => {}
                Some(count) => text.push_str(&format!(".{}", fraction.get(..count).unwrap_or(&fraction))),
                None => text.push_str(&format!(".{fraction}")),
            }
        }
        text + &self.zone
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("yyyy-mm-dd")?;
        let Some(separator) = self.separator else {
            return Ok(());
        };
        write!(f, "{separator}hh:mm")?;
        if self.seconds {
            f.write_str(":ss")?;
            match self.fraction {
                None => f.write_str("[.f]")?,
                Some(0) => {}
                Some(count) => write!(f, ".{}", "f".repeat(count))?,
            }
        }
        f.write_str(&self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_format_writes_the_clock_in_its_own_spelling() {
        let at: Timestamp = "2026-11-29T23:59:58.123456789Z".parse().unwrap();
        for (text, written) in [
            ("2020-01-01", "2026-11-29"),
            ("2020-01-01 10:00", "2026-11-29 23:59"),
            ("2020-01-01 10:00:00", "2026-11-29 23:59:58.123456789"),
            ("2020-01-01T10:00:00.1", "2026-11-29T23:59:58.123456789"),
            ("2020-01-01T10:00:00Z", "2026-11-29T23:59:58Z"),
            ("2020-01-01T10:00:00.123Z", "2026-11-29T23:59:58.123Z"),
            ("2020-01-01T10:00:00+08:00", "2026-11-30T07:59:58.123456789+08:00"),
            ("2020-01-01 10:00:00-0130", "2026-11-29 22:29:58.123456789-0130"),
        ] {
            let format = TimeFormat::detect(text, true).unwrap();
            assert_eq!(format.text(at), written, "{text}");
            assert_eq!(TimeFormat::detect(&format.text(at), true), Some(format), "{text}");
        }
    }

    #[test]
    fn time_format_of_a_variable_fraction_keeps_the_order() {
        // Before Z the number of digits is part of the format: the point sorts before the letter.
        assert_ne!(
            TimeFormat::detect("2026-01-01T00:00:00Z", true),
            TimeFormat::detect("2026-01-01T00:00:00.5Z", true)
        );
        assert_eq!(
            TimeFormat::detect("2026-01-01 00:00:00", false),
            TimeFormat::detect("2026-01-01 00:00:00.123", false)
        );
        // A collation that ignores signs takes the zone's digits as digits of the fraction.
        assert_ne!(
            TimeFormat::detect("2026-01-01 00:00:00+08", false),
            TimeFormat::detect("2026-01-01 00:00:00.5+08", false)
        );
        assert_eq!(TimeFormat::detect("2026-01-01x00:00:00", true), None);
        assert_eq!(TimeFormat::detect("2026-01-01 00:00:00 CET", true), None);
        assert_eq!(TimeFormat::detect("infinity", true), None);
        assert_eq!(TimeFormat::detect("2026-01-0é 00:00", true), None);
    }

    #[test]
    fn time_format_gives_differences() {
        let nanos = |text| TimeFormat::nanos(text).unwrap();
        assert_eq!(
            nanos("2026-01-01 00:00:01.5") - nanos("2026-01-01"),
            1_500_000_000
        );
        assert_eq!(
            nanos("2026-01-01T00:01") - nanos("2026-01-01 00:00:00"),
            60_000_000_000
        );
        assert_eq!(TimeFormat::nanos("2026-02-31 00:00:00"), None);
    }
}
