//! PURE: canonical texts of values. A text that does not have the format of its type is returned unchanged.

use std::borrow::Cow;

/// Returns the new text, or the old one if they are equal.
pub(super) fn keep_or_replace(before: &str, after: String) -> Cow<'_, str> {
    if before == after {
        Cow::Borrowed(before)
    } else {
        Cow::Owned(after)
    }
}

/// Returns `-?digits[.digits]` without leading zeros, trailing zeros and the sign of zero.
pub(super) fn decimal(text: &str) -> Cow<'_, str> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_number(whole) || !is_number(fraction) {
        return Cow::Borrowed(text);
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if whole.len() + fraction.len() == 0 {
        ""
    } else {
        sign
    };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    keep_or_replace(text, format!("{sign}{whole}{point}{fraction}"))
}

/// Returns the text of a float; zero has one form.
pub(super) fn float(text: &str) -> Cow<'_, str> {
    match text.parse::<f64>() {
        Ok(0.0) => keep_or_replace(text, "0".to_owned()),
        _ => Cow::Borrowed(text),
    }
}

/// Returns an ISO 8601 duration in seconds, by the length that PostgreSQL compares: a month is 30 days, a day 24 hours.
pub(super) fn interval(text: &str) -> Cow<'_, str> {
    let Some(length) = microseconds(text) else {
        return Cow::Borrowed(text);
    };
    let (sign, length) = (if length < 0 { "-" } else { "" }, length.unsigned_abs());
    let (seconds, rest) = (length / 1_000_000, length % 1_000_000);
    let exact = format!("{sign}{seconds}.{rest:06}");
    keep_or_replace(text, format!("PT{}S", decimal(&exact)))
}

const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;

fn microseconds(text: &str) -> Option<i128> {
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let dates = [('Y', 360 * DAY), ('M', 30 * DAY), ('W', 7 * DAY), ('D', DAY)];
    let times = [('H', 3_600 * SECOND), ('M', 60 * SECOND), ('S', SECOND)];
    parts(days, &dates)?.checked_add(parts(time, &times)?)
}

/// Sums numbers that each have a unit.
fn parts(text: &str, units: &[(char, i128)]) -> Option<i128> {
    let (mut rest, mut total) = (text, 0_i128);
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(end);
        let unit = tail.chars().next()?;
        let (_, length) = units.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(amount(number, *length)?)?;
        rest = tail.get(1..)?;
    }
    Some(total)
}

/// Converts a number with at most six decimal digits to microseconds.
fn amount(number: &str, length: i128) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    let whole: i128 = whole.parse::<i64>().ok()?.into();
    let millionths: i128 = format!("{fraction:0<6}").parse::<i64>().ok()?.into();
    let exact = millionths * length;
    (exact % 1_000_000 == 0).then_some(sign * (whole * length + exact / 1_000_000))
}

/// Returns JSON as PostgreSQL's `jsonb` prints it, with each number in canonical form.
pub(super) fn jsonb(text: &str) -> Cow<'_, str> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => quoted_end(rest),
            '-' | '0'..='9' => rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
                .unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, tail) = rest.split_at(end);
        match first {
            '-' | '0'..='9' => out.push_str(&decimal(token)),
            _ => out.push_str(token),
        }
        rest = tail;
    }
    keep_or_replace(text, out)
}

/// Returns the end of the quoted text that `text` begins with.
fn quoted_end(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the text of an array with each element in canonical form. The bounds stay, because PostgreSQL compares them.
pub(super) fn array<'a>(text: &'a str, element: impl Fn(&str) -> String) -> Cow<'a, str> {
    match elements(text, element) {
        Some(out) => keep_or_replace(text, out),
        None => Cow::Borrowed(text),
    }
}

fn elements(text: &str, element: impl Fn(&str) -> String) -> Option<String> {
    let (bounds, body) = match text.strip_prefix('[') {
        Some(_) => text.split_once('=')?,
        None => ("", text),
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(bounds);
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '{' | '}' | ',') {
            out.push(c);
            continue;
        }
        let mut value = String::new();
        if c == '"' {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => value.push(chars.next()?),
                    c => value.push(c),
                }
            }
        } else {
            value.push(c);
            while let Some(c) = chars.next_if(|c| !matches!(c, '{' | '}' | ',')) {
                value.push(c);
            }
            if value == "NULL" {
                out.push_str("NULL");
                continue;
            }
        }
        out.push('"');
        for c in element(&value).chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_interval_is_its_length() {
        let canonical = |text| interval(text).into_owned();
        for one in ["P1M", "P30D", "PT720H", "P1M1DT-24H", "P-1M60D"] {
            assert_eq!(canonical(one), "PT2592000S", "{one}");
        }
        assert_eq!(canonical("P-1M3DT-4H-5M-6.7S"), "PT-2347506.7S");
        assert_eq!(
            [canonical("PT0S"), canonical("P0D"), canonical("PT-0.5S")],
            ["PT0S", "PT0S", "PT-0.5S"]
        );
        assert_ne!(canonical("P1Y"), canonical("P365D"));
        for invalid in [
            "",
            "P",
            "PT",
            "P1",
            "P1X",
            "1 mon",
            "infinity",
            "PT0.1234567S",
            "P1D2",
        ] {
            assert_eq!(canonical(invalid), invalid);
        }
    }

    #[test]
    fn canonical_jsonb_changes_numbers_and_keeps_texts() {
        assert_eq!(
            jsonb(r#"{"1.0": [1.50, -0.0, 10, "1.0\"2.0"], "b": null}"#),
            r#"{"1.0": [1.5, 0, 10, "1.0\"2.0"], "b": null}"#
        );
        assert_eq!(jsonb("2.000"), "2");
        assert_eq!(jsonb("\"é 1.0"), "\"é 1.0");
    }

    #[test]
    fn canonical_array_changes_elements_and_keeps_bounds() {
        let canonical = |text| array(text, |one| decimal(one).into_owned()).into_owned();
        assert_eq!(canonical("{1.0,NULL,{2.00}}"), canonical("{1.00,NULL,{2}}"));
        assert_ne!(canonical("{1}"), canonical("[2:2]={1}"));
        assert_ne!(canonical("{NULL}"), canonical("{\"NULL\"}"));
        assert_ne!(canonical("{\"a,b\"}"), canonical("{a,b}"));
        let quoted = array(r#"{"{\"a\": 1.0}",null}"#, |one| jsonb(one).into_owned());
        assert_eq!(quoted, r#"{"{\"a\": 1}","null"}"#);
        assert_eq!(canonical("{\"open"), "{\"open");
    }
}
