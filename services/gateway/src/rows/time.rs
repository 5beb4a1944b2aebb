//! Times as RFC 3339.
//!
//! A time is a text of PostgreSQL's grammar: `2026-01-31 08:00:00.5+00`. Only the separator and the zone are rewritten, digit by
//! digit. A text that RFC 3339 cannot represent (before year 1, after 9999, `infinity`, a zone with seconds, another format of
//! a SQLite source) stays unchanged.

/// Returns an instant as RFC 3339, `2026-01-31T08:00:00.5Z`, or `None` if it stays unchanged.
#[must_use]
pub(crate) fn instant(text: &str) -> Option<String> {
    let (local, zone) = split(text)?;
    let zone = match zone {
        "Z" | "+00" | "+00:00" => "Z".to_owned(),
        zone => {
            let digits = zone.strip_prefix(['+', '-'])?;
            match digits.len() {
                2 if is_pattern(digits, "dd") => format!("{zone}:00"),
                5 if is_pattern(digits, "dd:dd") => zone.to_owned(),
                _ => return None,
            }
        }
    };
    Some(format!("{}T{}{zone}", &local[..10], &local[11..]))
}

/// Returns a time without a zone with the separator of RFC 3339, `2026-01-31T08:00:00`, or `None` if it stays unchanged.
#[must_use]
pub(crate) fn local(text: &str) -> Option<String> {
    let (local, zone) = split(text)?;
    zone.is_empty()
        .then(|| format!("{}T{}", &local[..10], &local[11..]))
}

/// Splits `yyyy-mm-dd hh:mm:ss[.f]` and the rest.
fn split(text: &str) -> Option<(&str, &str)> {
    let seconds = text.get(..19)?;
    if !is_pattern(seconds, "dddd-dd-dd dd:dd:dd") && !is_pattern(seconds, "dddd-dd-ddTdd:dd:dd") {
        return None;
    }
    let rest = &text[19..];
    let fraction = match rest.strip_prefix('.') {
        Some(digits) => {
            let length = digits.bytes().take_while(u8::is_ascii_digit).count();
            if length == 0 {
                return None;
            }
            length + 1
        }
        None => 0,
    };
    Some(text.split_at(19 + fraction))
}

/// Returns whether the text has this pattern, in which `d` is a digit.
fn is_pattern(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text
            .bytes()
            .zip(pattern.bytes())
            .all(|(byte, expected)| match expected {
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_keeps_every_digit_and_has_a_zone() {
        for (text, expected) in [
            ("2026-01-31 08:00:00+00", "2026-01-31T08:00:00Z"),
            ("2026-01-31 08:00:00.123456+00", "2026-01-31T08:00:00.123456Z"),
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31 08:00:00.5+08", "2026-01-31T08:00:00.5+08:00"),
            ("2026-01-31 08:00:00-05:30", "2026-01-31T08:00:00-05:30"),
        ] {
            assert_eq!(instant(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn time_that_rfc3339_has_not_is_unchanged() {
        for text in [
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00+00 BC",
            "12026-01-31 08:00:00+00",
            "1890-01-01 00:00:00+08:05:43",
            "2026-01-31 08:00:00",
            "2026-01-31 08:00:00.+00",
            "2026-01-31",
            "",
            "张张张张张张张",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
        assert_eq!(local("2026-01-31 08:00:00+00"), None);
        assert_eq!(local("0044-03-15 12:00:00 BC"), None);
        assert_eq!(
            local("2026-01-31 08:00:00.50").as_deref(),
            Some("2026-01-31T08:00:00.50")
        );
    }
}
