//! Control totals: exact sums of money columns of any scale.

use bigdecimal::{BigDecimal, Zero as _, num_bigint::BigInt};

use crate::value::Value;

/// A running exact sum. Values up to 38 digits are added as scaled 128-bit integers, others as arbitrary-precision
/// decimals. Nothing is rounded.
#[derive(Debug, Clone, Default)]
pub struct Total {
    mantissa: i128,
    scale: u32,
    large: Option<BigDecimal>,
    unsummed: u64,
}

/// Maximum scale of the fast path; 10^38 is the largest power in an `i128`.
const MAX_SCALE: u32 = 37;

impl Total {
    /// Adds one value. Null adds nothing; a value that is not a finite number is counted in
    /// [`Total::unsummed`]. A float is added as its shortest decimal text.
    pub fn add(&mut self, value: Value<'_>) {
        match value {
            Value::Null => {}
            Value::Int(number) => self.add_scaled(i128::from(number), 0),
            Value::Text(text) => self.add_text(text),
            Value::Float(number) if number.is_finite() => self.add_text(&number.to_string()),
            Value::Float(_) | Value::Bool(_) | Value::Bytes(_) => self.unsummed += 1,
        }
    }

    /// Adds another sum, for example a chunk's to a stream's.
    pub fn add_total(&mut self, other: &Self) {
        self.add_scaled(other.mantissa, other.scale);
        if let Some(large) = &other.large {
            self.add_large(large.clone());
        }
        self.unsummed += other.unsummed;
    }

    /// Returns the number of values that are not finite numbers: NaN, infinity, text.
    #[must_use]
    pub fn unsummed(&self) -> u64 {
        self.unsummed
    }

    fn add_text(&mut self, text: &str) {
        if let Some((mantissa, scale)) = parse(text.as_bytes()) {
            self.add_scaled(mantissa, scale);
        } else if let Ok(number) = text.trim().parse::<BigDecimal>() {
            // An exponent such as 1e999999999 would exhaust the memory.
            if number.as_bigint_and_exponent().1.unsigned_abs() > 20_000 {
                self.unsummed += 1;
            } else {
                self.add_large(number);
            }
        } else {
            self.unsummed += 1;
        }
    }

    fn add_large(&mut self, number: BigDecimal) {
        let sum = self.large.take().unwrap_or_else(BigDecimal::zero) + number;
        self.large = Some(sum);
    }

    fn add_scaled(&mut self, mantissa: i128, scale: u32) {
        // The values of a column have one scale in most tables.
        if scale == self.scale
            && let Some(sum) = self.mantissa.checked_add(mantissa)
        {
            self.mantissa = sum;
            return;
        }
        let common = self.scale.max(scale);
        let sum = rescale(self.mantissa, self.scale, common)
            .zip(rescale(mantissa, scale, common))
            .and_then(|(a, b)| a.checked_add(b));
        match sum {
            Some(sum) => (self.mantissa, self.scale) = (sum, common),
            None => self.add_large(BigDecimal::new(BigInt::from(mantissa), i64::from(scale))),
        }
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let small = BigDecimal::new(BigInt::from(self.mantissa), i64::from(self.scale));
        let sum = match &self.large {
            Some(large) => large + small,
            None => small,
        };
        f.write_str(&sum.to_plain_string())
    }
}

fn rescale(mantissa: i128, from: u32, to: u32) -> Option<i128> {
    mantissa.checked_mul(10_i128.checked_pow(to.checked_sub(from)?)?)
}

/// Parses `-?digits[.digits]` with at most 38 digits, without allocation.
fn parse(text: &[u8]) -> Option<(i128, u32)> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // Up to 18 digits are collected in 64 bits, whose arithmetic is much faster.
    const FULL: u64 = 1_000_000_000_000_000_000;
    let (mut mantissa, mut part, mut unit) = (0_i128, 0_u64, 1_u64);
    let (mut scale, mut has_point, mut has_digit) = (0_u32, false, false);
    let join = |mantissa: i128, part: u64, unit: u64| {
        mantissa
            .checked_mul(i128::from(unit))?
            .checked_add(i128::from(part))
    };
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                (part, unit) = (part * 10 + u64::from(byte - b'0'), unit * 10);
                if unit == FULL {
                    mantissa = join(mantissa, part, unit)?;
                    (part, unit) = (0, 1);
                }
                scale += u32::from(has_point);
                has_digit = true;
            }
            b'.' if !has_point => has_point = true,
            _ => return None,
        }
    }
    let mantissa = join(mantissa, part, unit)?;
    (has_digit && scale <= MAX_SCALE).then_some((if negative { -mantissa } else { mantissa }, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&str]) -> String {
        let mut total = Total::default();
        texts.iter().for_each(|text| total.add(Value::Text(text)));
        total.to_string()
    }

    #[test]
    fn total_is_exact_at_any_scale() {
        assert_eq!(sum(&["0.1", "0.2"]), "0.3");
        assert_eq!(sum(&["46.620000000000005", "-46.62"]), "0.000000000000005");
        assert_eq!(sum(&["12.30", "-0.30"]), "12.00");
        assert_eq!(
            sum(&["99999999999999999999999999999999999999", "1"]),
            "100000000000000000000000000000000000000"
        );
        assert_eq!(
            sum(&["123456789012345678.901234567890123456", "-0.000000000000000001"]),
            "123456789012345678.901234567890123455"
        );
        assert_eq!(
            sum(&["170141183460469231731687303715884105727", "1"]),
            "170141183460469231731687303715884105728"
        );
        assert_eq!(sum(&["1e3", "0.5"]), "1000.5");
    }

    #[test]
    fn total_counts_values_that_are_not_numbers() {
        let mut total = Total::default();
        for text in ["NaN", "Infinity", "twelve", "", "1e999999999"] {
            total.add(Value::Text(text));
        }
        total.add(Value::Float(f64::NAN));
        total.add(Value::Null);
        assert_eq!((total.to_string().as_str(), total.unsummed()), ("0", 6));
    }
}
