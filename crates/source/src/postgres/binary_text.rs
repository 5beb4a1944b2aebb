//! PURE: the texts of values that the server sends in its binary format.
//!
//! The server's own conversion to text costs the core more processor time than reading the row does. These functions
//! return the text that the server's output function returns in a session of this agent (`DateStyle` ISO, `TimeZone` UTC).

/// A type whose binary values are converted to text here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinaryType {
    Numeric,
    Date,
    /// A time of day without zone.
    Time,
    /// A timestamp without zone.
    Timestamp,
    /// Printed in UTC, with `+00`.
    TimestampTz,
    Uuid,
}

/// Appends the text of a value. Returns `None` if the bytes do not fit the type.
pub(super) fn write(kind: BinaryType, bytes: &[u8], out: &mut String) -> Option<()> {
    match kind {
        BinaryType::Numeric => numeric(bytes, out),
        BinaryType::Date => date(i32::from_be_bytes(bytes.try_into().ok()?), out),
        BinaryType::Time => time(i64::from_be_bytes(bytes.try_into().ok()?), out),
        BinaryType::Timestamp => timestamp(i64::from_be_bytes(bytes.try_into().ok()?), "", out),
        BinaryType::TimestampTz => timestamp(i64::from_be_bytes(bytes.try_into().ok()?), "+00", out),
        BinaryType::Uuid => uuid(bytes, out),
    }
}

/// Bits of a numeric's sign field.
const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// A numeric is a list of digits to the base 10,000, the weight of the first one, a sign, and the number of decimals to
/// print.
fn numeric(bytes: &[u8], out: &mut String) -> Option<()> {
    let (head, digits) = bytes.split_first_chunk::<8>()?;
    let field = |at: usize| Some([*head.get(at)?, *head.get(at + 1)?]);
    let count = usize::from(u16::from_be_bytes(field(0)?));
    let weight = i32::from(i16::from_be_bytes(field(2)?));
    let decimals = usize::from(u16::from_be_bytes(field(6)?));
    let (groups, rest) = digits.as_chunks::<2>();
    if groups.len() != count || !rest.is_empty() {
        return None;
    }
    let special = match u16::from_be_bytes(field(4)?) {
        POSITIVE => "",
        NEGATIVE => "-",
        NAN => "NaN",
        INFINITY => "Infinity",
        NEGATIVE_INFINITY => "-Infinity",
        _ => return None,
    };
    out.push_str(special);
    if special.len() > 1 {
        return Some(());
    }
    // The group of this weight, which is zero outside of the stored ones.
    let group = |of: i32| {
        let index = usize::try_from(weight - of).ok();
        index
            .and_then(|index| groups.get(index))
            .map_or(0, |group| u16::from_be_bytes(*group))
    };
    if weight < 0 {
        out.push('0');
    } else {
        let first = group(weight);
        if first > 9_999 {
            return None;
        }
        push_number(u64::from(first), 1, out);
        for of in (0..weight).rev() {
            push_four(group(of), out)?;
        }
    }
    if decimals > 0 {
        out.push('.');
        let end = out.len() + decimals;
        let mut of = -1;
        while out.len() < end {
            push_four(group(of), out)?;
            of -= 1;
        }
        out.truncate(end);
    }
    Some(())
}

const MICROS_A_DAY: i64 = 86_400_000_000;

/// A date is a number of days from 2000-01-01.
fn date(days: i32, out: &mut String) -> Option<()> {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        days => {
            if push_day(i64::from(days), out)? {
                out.push_str(" BC");
            }
        }
    }
    Some(())
}

/// A time of day is a number of microseconds; 24:00:00 is one too.
fn time(micros: i64, out: &mut String) -> Option<()> {
    if !(0..=MICROS_A_DAY).contains(&micros) {
        return None;
    }
    push_time(micros, out)
}

/// A timestamp is a number of microseconds from 2000-01-01.
fn timestamp(micros: i64, zone: &str, out: &mut String) -> Option<()> {
    match micros {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        micros => {
            let is_before_christ = push_day(micros.div_euclid(MICROS_A_DAY), out)?;
            out.push(' ');
            push_time(micros.rem_euclid(MICROS_A_DAY), out)?;
            out.push_str(zone);
            if is_before_christ {
                out.push_str(" BC");
            }
        }
    }
    Some(())
}

fn uuid(bytes: &[u8], out: &mut String) -> Option<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for half in [byte >> 4, byte & 15] {
            out.push(char::from(*DIGITS.get(usize::from(half))?));
        }
    }
    Some(())
}

/// Appends a day as `YYYY-MM-DD`, and returns whether its year is before Christ. Days are counted from 2000-01-01.
///
/// Years begin in March here, so that the leap day is the last one of its year. An era is 400 such years.
fn push_day(days: i64, out: &mut String) -> Option<bool> {
    const DAYS_AN_ERA: i64 = 146_097;
    // From 2000-03-01.
    let days = days - 60;
    let (era, day) = (days.div_euclid(DAYS_AN_ERA), days.rem_euclid(DAYS_AN_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_AN_ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    let year = 2000 + era * 400 + year + i64::from(is_next_year);
    // There is no year 0: it is 1 BC.
    let is_before_christ = year <= 0;
    let year = if is_before_christ { 1 - year } else { year };
    push_number(u64::try_from(year).ok()?, 4, out);
    out.push('-');
    push_two(month, out)?;
    out.push('-');
    push_two(day, out)?;
    Some(is_before_christ)
}

/// Appends a time of day as `HH:MM:SS`, with as many decimals as it has.
fn push_time(micros: i64, out: &mut String) -> Option<()> {
    let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
    push_two(seconds / 3_600, out)?;
    out.push(':');
    push_two(seconds / 60 % 60, out)?;
    out.push(':');
    push_two(seconds % 60, out)?;
    if micros > 0 {
        out.push('.');
        push_two(micros / 10_000, out)?;
        push_two(micros / 100 % 100, out)?;
        push_two(micros % 100, out)?;
        out.truncate(out.trim_end_matches('0').len());
    }
    Some(())
}

/// The numbers from 00 to 99.
const PAIRS: &str = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
                     5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// Appends two digits.
fn push_two(value: i64, out: &mut String) -> Option<()> {
    let at = usize::try_from(value).ok()? * 2;
    out.push_str(PAIRS.get(at..at + 2)?);
    Some(())
}

/// Appends four digits.
fn push_four(value: u16, out: &mut String) -> Option<()> {
    push_two(i64::from(value / 100), out)?;
    push_two(i64::from(value % 100), out)
}

/// Appends a number with at least `width` digits.
fn push_number(value: u64, width: u32, out: &mut String) {
    let (mut digits, mut rest) = (1, value / 10);
    while rest > 0 {
        (digits, rest) = (digits + 1, rest / 10);
    }
    for _ in digits..width {
        out.push('0');
    }
    let mut unit = 10_u64.pow(digits - 1);
    while unit > 0 {
        let digit = u32::try_from(value / unit % 10).unwrap_or_default();
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kind: BinaryType, bytes: &[u8]) -> Option<String> {
        let mut out = String::new();
        write(kind, bytes, &mut out).map(|()| out)
    }

    fn number(weight: i16, sign: u16, decimals: u16, groups: &[u16]) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let mut bytes: Vec<u8> = count.to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(decimals.to_be_bytes());
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        bytes
    }

    #[test]
    fn binary_text_of_numbers_keeps_their_decimals() {
        for (weight, sign, decimals, groups, expected) in [
            (0, POSITIVE, 0, &[][..], "0"),
            (0, POSITIVE, 2, &[], "0.00"),
            (0, POSITIVE, 2, &[7, 500], "7.05"),
            (0, NEGATIVE, 4, &[7, 500], "-7.0500"),
            (1, POSITIVE, 0, &[12, 34], "120034"),
            (2, POSITIVE, 1, &[1], "100000000.0"),
            (-1, POSITIVE, 4, &[5], "0.0005"),
            (-2, NEGATIVE, 9, &[1234], "-0.000012340"),
            (0, NAN, 0, &[], "NaN"),
            (0, INFINITY, 0, &[], "Infinity"),
            (0, NEGATIVE_INFINITY, 0, &[], "-Infinity"),
        ] {
            let bytes = number(weight, sign, decimals, groups);
            assert_eq!(text(BinaryType::Numeric, &bytes).as_deref(), Some(expected));
        }
    }

    #[test]
    fn binary_text_of_days_and_times_is_iso() {
        let day = |days: i32| text(BinaryType::Date, &days.to_be_bytes()).unwrap();
        assert_eq!(day(0), "2000-01-01");
        assert_eq!(day(59), "2000-02-29");
        assert_eq!(day(60), "2000-03-01");
        assert_eq!(day(-1), "1999-12-31");
        assert_eq!(day(-730_119), "0001-01-01");
        assert_eq!(day(-730_120), "0001-12-31 BC");
        assert_eq!(day(i32::MAX), "infinity");
        assert_eq!(day(i32::MIN), "-infinity");
        let at = |micros: i64| text(BinaryType::TimestampTz, &micros.to_be_bytes()).unwrap();
        assert_eq!(at(0), "2000-01-01 00:00:00+00");
        assert_eq!(at(-1), "1999-12-31 23:59:59.999999+00");
        assert_eq!(at(1_500_000), "2000-01-01 00:00:01.5+00");
        assert_eq!(at(i64::MAX), "infinity");
        let time = |micros: i64| text(BinaryType::Time, &micros.to_be_bytes());
        assert_eq!(time(MICROS_A_DAY).as_deref(), Some("24:00:00"));
        assert_eq!(time(MICROS_A_DAY + 1), None);
    }

    #[test]
    fn binary_text_of_bytes_of_another_type_is_nothing() {
        let kinds = [
            BinaryType::Numeric,
            BinaryType::Date,
            BinaryType::Time,
            BinaryType::Timestamp,
            BinaryType::TimestampTz,
            BinaryType::Uuid,
        ];
        for kind in kinds {
            assert_eq!(text(kind, &[]), None, "{kind:?}");
            assert_eq!(text(kind, &[0; 5]), None, "{kind:?}");
            assert_eq!(text(kind, &[255; 17]), None, "{kind:?}");
        }
        assert_eq!(
            text(BinaryType::Numeric, &number(0, POSITIVE, 0, &[10_000])),
            None
        );
    }
}
