//! PURE: decimals in the binary format: digits to the base 10,000, the weight of the first one, a sign, and the number of
//! decimals.

/// A longer number is sent as text.
const MAX_GROUPS: usize = 24;

/// Appends a number with its length, or returns `None` if it has another form than `-?[0-9]+(\.[0-9]+)?` or is long.
pub(super) fn write(text: &str, out: &mut Vec<u8>) -> Option<()> {
    const NEGATIVE: u16 = 0x4000;
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (NEGATIVE, digits),
        digits => (0, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, decimals) = match point {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, &[][..]),
    };
    if whole.is_empty() || (point.is_some() && decimals.is_empty()) {
        return None;
    }
    let (mut groups, mut count) = ([0_u16; MAX_GROUPS], 0);
    let mut add = |digits: &[u8]| {
        *groups.get_mut(count)? = group(digits)?;
        count += 1;
        Some(())
    };
    let (first, full) = whole.split_at(whole.len() % 4);
    if !first.is_empty() {
        add(first)?;
    }
    full.chunks(4).try_for_each(&mut add)?;
    let whole_groups = whole.len().div_ceil(4);
    decimals.chunks(4).try_for_each(&mut add)?;
    // The last group holds its digits at its front.
    if let (Some(last), missing @ 1..) = (
        groups.get_mut(count.checked_sub(1)?),
        decimals.len().next_multiple_of(4) - decimals.len(),
    ) {
        *last *= 10_u16.pow(u32::try_from(missing).ok()?);
    }
    let mut used = groups.get(..count)?;
    let mut weight = i16::try_from(whole_groups).ok()? - 1;
    while let [0, rest @ ..] = used {
        (used, weight) = (rest, weight - 1);
    }
    while let [rest @ .., 0] = used {
        used = rest;
    }
    let (sign, weight) = if used.is_empty() { (0, 0) } else { (sign, weight) };
    out.extend_from_slice(&i32::try_from(8 + used.len() * 2).ok()?.to_be_bytes());
    out.extend_from_slice(&u16::try_from(used.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&u16::try_from(decimals.len()).ok()?.to_be_bytes());
    for group in used {
        out.extend_from_slice(&group.to_be_bytes());
    }
    Some(())
}

/// Returns the number of at most four digits.
fn group(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number: u16, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u16::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Option<Vec<i16>> {
        let mut out = Vec::new();
        write(text, &mut out)?;
        let (length, rest) = out.split_first_chunk::<4>().unwrap();
        assert_eq!(usize::try_from(i32::from_be_bytes(*length)).unwrap(), rest.len());
        let (fields, _) = rest.as_chunks::<2>();
        Some(fields.iter().map(|field| i16::from_be_bytes(*field)).collect())
    }

    #[test]
    fn numeric_is_groups_of_four_digits() {
        for (text, expected) in [
            ("0", &[0, 0, 0, 0][..]),
            ("-0.00", &[0, 0, 0, 2]),
            ("7.05", &[2, 0, 0, 2, 7, 500]),
            ("-120034", &[2, 1, 0x4000, 0, 12, 34]),
            ("0010000.0", &[1, 1, 0, 1, 1]),
            ("0.0005", &[1, -1, 0, 4, 5]),
            ("0.000012340", &[1, -2, 0, 9, 1234]),
            ("1.23456", &[3, 0, 0, 5, 1, 2345, 6000]),
        ] {
            assert_eq!(fields(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn numeric_of_another_form_is_sent_as_text() {
        let long = "9".repeat(200);
        for text in [
            "", "-", ".5", "5.", "1e5", "NaN", "+1", " 1", "1 ", "1.2.3", "--1", "1_0", "१", &long,
        ] {
            assert_eq!(fields(text), None, "{text}");
        }
    }
}
