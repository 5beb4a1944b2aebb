//! PURE: money as whole cents, quantities as scaled integers, text as exact decimals.

/// Formats `1234` cents as `12.34`.
pub(crate) fn cents(amount: i64) -> String {
    scaled(amount, 2)
}

/// Formats a scaled integer with `digits` decimals.
pub(crate) fn scaled(number: i64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let (sign, size) = (if number < 0 { "-" } else { "" }, number.unsigned_abs());
    let width = usize::try_from(digits).unwrap_or(0);
    format!("{sign}{}.{:0width$}", size / unit, size % unit)
}

/// Returns `round(count * price, 2)` in cents: a count in ten-thousandths, a price in millionths.
pub(crate) fn product(count: i64, price: i64) -> i64 {
    let exact = i128::from(count) * i128::from(price);
    let half = if exact < 0 { -50_000_000 } else { 50_000_000 };
    i64::try_from((exact + half) / 100_000_000).unwrap_or(i64::MAX)
}

/// Returns a share in ten-thousandths of an amount, rounded half up.
pub(crate) fn share(amount: i64, ratio: i64) -> i64 {
    (amount * ratio + 5_000) / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_rounded_half_up() {
        assert_eq!(
            (cents(5), cents(-1234), cents(100)),
            ("0.05".into(), "-12.34".into(), "1.00".into())
        );
        assert_eq!(scaled(12_345_678, 6), "12.345678");
        // 3 pieces at 1.335: 4.005 is 4.01.
        assert_eq!(product(30_000, 1_335_000), 401);
        assert_eq!(product(-30_000, 1_335_000), -401);
        assert_eq!(share(101, 5_000), 51);
    }
}
