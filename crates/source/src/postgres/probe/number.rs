//! Converts a number of any database type to the gate's type.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

/// A finite number, or a boolean as 0 or 1.
#[derive(Debug, PartialEq)]
pub(super) struct Number(pub(super) f64);

type Outcome<T> = std::result::Result<T, Box<dyn Error + Sync + Send>>;

impl<'a> FromSql<'a> for Number {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are enough for a load limit")]
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Outcome<Self> {
        let value = match *kind {
            Type::BOOL => f64::from(u8::from(bool::from_sql(kind, raw)?)),
            Type::INT2 => f64::from(i16::from_sql(kind, raw)?),
            Type::INT4 => f64::from(i32::from_sql(kind, raw)?),
            Type::INT8 => i64::from_sql(kind, raw)? as f64,
            Type::FLOAT4 => f64::from(f32::from_sql(kind, raw)?),
            Type::FLOAT8 => f64::from_sql(kind, raw)?,
            _ => numeric(raw).ok_or("not a numeric")?,
        };
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err("not a finite number".into())
        }
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL | Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC
        )
    }
}

/// Decodes a numeric of the wire protocol: digits to the base 10,000, the weight of the first, a sign.
fn numeric(raw: &[u8]) -> Option<f64> {
    let word = |at: usize| raw.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
    let (digits, sign) = (usize::from(word(0)?), word(4)?);
    let weight = i32::from(i16::from_be_bytes(raw.get(2..4)?.try_into().ok()?));
    let mut value = 0.0;
    for index in 0..digits {
        value += f64::from(word(8 + index * 2)?) * 10_000_f64.powi(weight - i32::try_from(index).ok()?);
    }
    match sign {
        0 => Some(value),
        0x4000 => Some(-value),
        // NaN or an infinity.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(digits: &[u16], weight: i16, sign: u16) -> Vec<u8> {
        let count = u16::try_from(digits.len()).unwrap_or_default();
        let head = [
            count.to_be_bytes(),
            weight.to_be_bytes(),
            sign.to_be_bytes(),
            [0, 4],
        ];
        let digits = digits.iter().map(|digit| digit.to_be_bytes());
        head.into_iter().chain(digits).flatten().collect()
    }

    #[test]
    fn probe_numeric_is_a_number_and_nan_is_none() {
        for (digits, weight, sign, value) in [
            (&[][..], 0, 0, 0.0),
            (&[12, 3400], 0, 0, 12.34),
            (&[1, 0, 5000], 1, 0x4000, -10_000.5),
            (&[2500], -1, 0, 0.25),
        ] {
            let read = numeric(&wire(digits, weight, sign)).unwrap_or(f64::NAN);
            assert!((read - value).abs() < 1e-9, "{value}: {read}");
        }
        assert_eq!(numeric(&wire(&[], 0, 0xC000)), None);
        assert_eq!(numeric(&[0, 9, 0, 0]), None);
    }
}
