//! The year of a date, from the formats that sources use.

/// Returns the year of `yyyy-mm-dd…`, `yyyy/mm/dd…` or `yyyymmdd…`, or `None` for anything else and for years before 1.
pub(super) fn parse_year(text: &str) -> Option<i64> {
    if text.ends_with("BC") {
        return None;
    }
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| {
        let part = bytes.get(from..to)?;
        part.iter().try_fold(0_i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let separator = bytes.get(4)?;
    let (month, day, end) = match separator {
        b'-' | b'/' if bytes.get(7) == Some(separator) => (digits(5, 7)?, digits(8, 10)?, 10),
        _ => (digits(4, 6)?, digits(6, 8)?, 8),
    };
    // `198705061` is a number, not a date. A time may follow a date.
    let ends = bytes.get(end).is_none_or(|byte| matches!(byte, b' ' | b'T'));
    let year = digits(0, 4)?;
    (ends && year > 0 && (1..=12).contains(&month) && (1..=31).contains(&day)).then_some(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_year_is_read_from_dates_only() {
        for (text, year) in [
            ("1987-05-06", 1987),
            ("1987-05-06 10:00:00+00", 1987),
            ("1987-05-06T10:00:00Z", 1987),
            ("1987/05/06", 1987),
            ("19870506", 1987),
        ] {
            assert_eq!(parse_year(text), Some(year), "{text}");
        }
        for text in [
            "",
            "1987",
            "1987-5-6",
            "1987-13-06",
            "1987-05/06",
            "198705061",
            "31010004711",
            "0044-03-15 BC",
            "0000-01-01",
            "infinity",
            "三月五日一九八七",
        ] {
            assert_eq!(parse_year(text), None, "{text}");
        }
    }
}
