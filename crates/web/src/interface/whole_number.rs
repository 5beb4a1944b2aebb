//! PURE: whole numbers in JSON. JSON Schema counts `17.0` and `1.7e1` as integers, and a client in a language without integers writes
//! them so; a number with a fraction, a negative one, or one that a double does not hold exactly is refused.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The largest number that every JSON program reads exactly: 2^53 - 1.
pub const MAX_WHOLE: u64 = (1 << 53) - 1;

/// Reads a whole number up to [`MAX_WHOLE`].
///
/// # Errors
/// If it is another value.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 0 to {MAX_WHOLE}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        if number > MAX_WHOLE {
            return Err(E::invalid_value(Unexpected::Unsigned(number), &self));
        }
        Ok(number)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a whole number below 2^53 is exact"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
        let has_fraction = number.trunc().to_bits() != number.to_bits();
        let is_whole = !has_fraction && (0.0..=MAX_WHOLE as f64).contains(&number);
        if !is_whole {
            return Err(E::invalid_value(Unexpected::Float(number), &self));
        }
        Ok(number as u64)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Holder(#[serde(deserialize_with = "super::read")] u64);

    #[test]
    fn whole_number_has_no_fraction_and_no_sign() {
        for (text, expected) in [
            ("0", 0),
            ("17", 17),
            ("17.0", 17),
            ("1.7e1", 17),
            ("-0.0", 0),
            ("9007199254740991", super::MAX_WHOLE),
        ] {
            let read: Holder = serde_json::from_str(text).unwrap();
            assert_eq!(read.0, expected, "{text}");
        }
        for text in [
            "0.5",
            "17.000001",
            "1e-20",
            "-1",
            "-1.0",
            "9007199254740992",
            "1e300",
            "\"17\"",
            "null",
            "true",
            "[]",
        ] {
            let read = serde_json::from_str::<Holder>(text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
