//! PURE: dates and times in the binary format: days and microseconds from 2000-01-01.
//!
//! Only years from 1 to 9999 in the ISO form without an era. Other times are sent as text.

const MICROS_A_SECOND: i64 = 1_000_000;
const MICROS_A_DAY: i64 = 86_400 * MICROS_A_SECOND;

/// Returns the days of `yyyy-mm-dd`.
pub(super) fn date(text: &[u8]) -> Option<i32> {
    let [a, b, c, d, b'-', e, f, b'-', g, h] = text else {
        return None;
    };
    let year = i32::try_from(number(&[*a, *b, *c, *d])?).ok()?;
    let month = i32::try_from(number(&[*e, *f])?).ok()?;
    let day = i32::try_from(number(&[*g, *h])?).ok()?;
    if year == 0 || !(1..=12).contains(&month) || day < 1 || day > days_of(year, month) {
        return None;
    }
    // Years begin in March, so that the leap day is the last one of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(days + (153 * month + 2) / 5 + day - 1 - DAYS_BEFORE_2000)
}

/// Days from 0000-03-01 to 2000-01-01.
const DAYS_BEFORE_2000: i32 = 730_425;

fn days_of(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the microseconds of `hh:mm:ss`, with at most six decimals.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let (clock, decimals) = text.split_first_chunk::<8>()?;
    let [a, b, b':', c, d, b':', e, f] = clock else {
        return None;
    };
    let (hours, minutes, seconds) = (number(&[*a, *b])?, number(&[*c, *d])?, number(&[*e, *f])?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let micros = match decimals {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) => {
            number(digits)? * 10_i64.pow(6 - u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    Some(((hours * 60 + minutes) * 60 + seconds) * MICROS_A_SECOND + micros)
}

/// Returns the microseconds of a date and a time with a blank between them.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let (day, rest) = text.split_first_chunk::<10>()?;
    let clock = rest.strip_prefix(b" ")?;
    Some(i64::from(date(day)?) * MICROS_A_DAY + time(clock)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number: i64, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_from_2000() {
        for (text, days) in [
            ("2000-01-01", 0),
            ("1999-12-31", -1),
            ("2000-02-29", 59),
            ("2000-03-01", 60),
            ("2026-11-30", 9_830),
            ("0001-01-01", -730_119),
            ("9999-12-31", 2_921_939),
        ] {
            assert_eq!(date(text.as_bytes()), Some(days), "{text}");
        }
        assert_eq!(time(b"00:00:01.5"), Some(1_500_000));
        assert_eq!(time(b"23:59:59.999999"), Some(MICROS_A_DAY - 1));
        assert_eq!(timestamp(b"1999-12-31 23:59:59.9"), Some(-100_000));
    }

    #[test]
    fn time_that_is_none_is_sent_as_text() {
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "0000-01-01",
            "12026-01-01",
            "2026-1-1",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        for text in [
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "00:00:00.",
            "00:00:00.1234567",
            "00:00",
            "0:00:00",
        ] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
        for text in ["2026-01-01T00:00:00", "2026-01-01", "2026-01-01 00:00:00 BC"] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }
}
