//! PURE: whether a row is after a lane's position, so that it will still be sent.
//!
//! The order is the source's. For the types that order a feed it is known here: integers, decimals, times, and texts by their bytes. A
//! value of another class than the position has no place in the order.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use schemas::column::ColumnType;
use schemas::cursor::{Cursor, Scalar};
use schemas::value::Value;

use crate::form;

/// The place of a row relative to a lane's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At or before it.
    Passed,
    /// After it.
    Late,
    /// Not in the order.
    Unordered,
}

/// Returns the place of a row with these values of the cursor columns, each with its type.
#[must_use]
pub fn place<'a>(
    values: impl IntoIterator<Item = (&'a ColumnType, Value<'a>)>,
    position: Option<&Cursor>,
) -> Place {
    let Some(position) = position else {
        return Place::Late;
    };
    for ((kind, value), scalar) in values.into_iter().zip(&position.0) {
        match compare(kind, value, scalar) {
            Some(Ordering::Less) => return Place::Passed,
            Some(Ordering::Greater) => return Place::Late,
            Some(Ordering::Equal) => {}
            None => return Place::Unordered,
        }
    }
    Place::Passed
}

fn compare(kind: &ColumnType, value: Value<'_>, position: &Scalar) -> Option<Ordering> {
    use ColumnType as T;
    match (kind, value, position) {
        (_, Value::Int(value), Scalar::Int(position)) => Some(value.cmp(position)),
        (T::Decimal { .. }, Value::Text(value), Scalar::Text(position)) => {
            let number = |text: &str| text.parse::<BigDecimal>().ok();
            Some(number(value)?.cmp(&number(position)?))
        }
        (T::Date | T::Timestamp | T::TimestampTz, Value::Text(value), Scalar::Text(position)) => {
            Some(time_order(kind, value).cmp(&time_order(kind, position)))
        }
        (_, Value::Text(value), Scalar::Text(position)) => Some(value.cmp(position)),
        _ => None,
    }
}

/// Returns a text that sorts as the time does: infinities at the ends, years before 1 AD first, later than 9999 last.
fn time_order(kind: &ColumnType, text: &str) -> (u8, usize, String) {
    let rank = match text {
        "-infinity" => 0,
        _ if text.ends_with("BC") => 1,
        "infinity" => 3,
        _ => 2,
    };
    let mut form = Vec::new();
    form::write_value(kind, Value::Text(text), &mut form);
    // Without the head of the packed text, whose length is no part of the order.
    let text = String::from_utf8_lossy(&form);
    let year = text.find('-').unwrap_or(0);
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let digits = year.saturating_sub(start);
    let body = text.get(start..).unwrap_or_default().trim_end_matches("+00");
    (rank, digits, body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: &ColumnType, value: Value<'_>, position: Scalar) -> Place {
        place([(kind, value)], Some(&Cursor(vec![position])))
    }

    #[test]
    fn place_of_times_is_by_their_order() {
        let position = || Scalar::Text("2026-01-31 08:00:00.5+00".to_owned());
        for (text, wanted) in [
            ("2026-01-31 08:00:00.5+00", Place::Passed),
            ("2026-01-31 08:00:00.45+00", Place::Passed),
            ("2026-01-31 08:00:00+00", Place::Passed),
            ("2026-01-31 08:00:00.50001+00", Place::Late),
            ("2026-01-31 08:00:01+00", Place::Late),
            ("2026-01-31 00:00:00+00", Place::Passed),
            ("9999-12-31 00:00:00+00", Place::Late),
            ("12026-01-01 00:00:00+00", Place::Late),
            ("infinity", Place::Late),
            ("-infinity", Place::Passed),
        ] {
            assert_eq!(
                at(&ColumnType::TimestampTz, Value::Text(text), position()),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn place_of_numbers_and_texts_is_by_their_order() {
        let decimal = ColumnType::Decimal {
            precision: None,
            scale: None,
        };
        let text = ColumnType::Text { max: None };
        let ten = || Scalar::Text("10".to_owned());
        assert_eq!(at(&decimal, Value::Text("9.5"), ten()), Place::Passed);
        assert_eq!(at(&decimal, Value::Text("10.01"), ten()), Place::Late);
        assert_eq!(at(&text, Value::Text("9.5"), ten()), Place::Late);
        assert_eq!(
            at(&ColumnType::Int8, Value::Int(9), Scalar::Int(10)),
            Place::Passed
        );
        // A number among texts has no place in their order.
        assert_eq!(at(&ColumnType::Any, Value::Int(9), ten()), Place::Unordered);
        assert_eq!(at(&text, Value::Null, ten()), Place::Unordered);
    }

    #[test]
    fn place_of_later_columns_decides_ties() {
        let kinds = [ColumnType::Int8, ColumnType::Int8];
        let row = |a, b| [(&kinds[0], Value::Int(a)), (&kinds[1], Value::Int(b))];
        let position = Cursor(vec![Scalar::Int(5), Scalar::Int(7)]);
        assert_eq!(place(row(5, 7), Some(&position)), Place::Passed);
        assert_eq!(place(row(5, 8), Some(&position)), Place::Late);
        assert_eq!(place(row(4, 9), Some(&position)), Place::Passed);
        assert_eq!(place(row(4, 9), None), Place::Late);
    }
}
