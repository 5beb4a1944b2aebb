//! PURE: times, ages and numbers as text.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::texts::Texts;

/// A time that is ahead by this much is shown as now.
const TOLERANCE_S: i64 = 5;

/// Formats for one person, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Formatter<'a> {
    /// The texts.
    pub texts: Texts,
    /// The time zone.
    pub zone: &'a TimeZone,
    /// Now.
    pub now: Timestamp,
}

impl Formatter<'_> {
    /// Returns a time: of the clock if it is of today, else with its date.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> String {
        let (at, now) = (
            at.to_zoned(self.zone.clone()),
            self.now.to_zoned(self.zone.clone()),
        );
        let format = if at.date() == now.date() {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        at.strftime(format).to_string()
    }

    /// Returns how long ago a time was, such as `3 min ago`. A time of the future has no age.
    #[must_use]
    pub fn ago(&self, at: Timestamp) -> String {
        let seconds = self.now.as_second() - at.as_second();
        // What was read while the page was made is a little newer than the page.
        if seconds < -TOLERANCE_S {
            return self.texts.get("age.future").to_owned();
        }
        self.texts.with("age.ago", &[("age", &self.span(seconds.max(0)))])
    }

    /// Returns a duration in its largest unit.
    #[must_use]
    pub fn span(&self, seconds: i64) -> String {
        let (key, count) = match seconds {
            ..60 => ("age.seconds", seconds),
            60..3_600 => ("age.minutes", seconds / 60),
            3_600..172_800 => ("age.hours", seconds / 3_600),
            _ => ("age.days", seconds / 86_400),
        };
        self.texts.with(key, &[("n", &count.to_string())])
    }
}

/// Returns an integer with separators of thousands.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns thousandths with at most one decimal.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "readings are far below 2^52")]
pub fn milli(value: i64) -> String {
    decimal(value as f64 / 1e3)
}

/// Returns a number with at most one decimal.
#[must_use]
pub fn decimal(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Returns bytes in a binary unit.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a size for people")]
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = value as f64;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    format!("{} {}", decimal(size), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn format_shows_date_only_of_another_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let formatter = Formatter {
            texts: Texts(Language::En),
            zone: &zone,
            now: "2026-01-31T17:00:00Z".parse().unwrap(),
        };
        // 2026-02-01 01:00 in Shanghai.
        assert_eq!(
            formatter.time("2026-01-31T16:00:05Z".parse().unwrap()),
            "00:00:05"
        );
        assert_eq!(
            formatter.time("2026-01-31T15:59:59Z".parse().unwrap()),
            "2026-01-31 23:59:59"
        );
        assert_eq!(
            formatter.ago("2026-01-31T16:57:00Z".parse().unwrap()),
            "3 min ago"
        );
        assert_eq!(
            formatter.ago("2026-01-31T17:00:09Z".parse().unwrap()),
            "in the future"
        );
    }

    #[test]
    fn format_numbers_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123_456), "123,456");
        assert_eq!((milli(85_000), milli(1_260)), ("85".to_owned(), "1.3".to_owned()));
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(12), "12 B");
    }
}
