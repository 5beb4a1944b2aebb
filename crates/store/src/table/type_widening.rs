//! PURE: which types hold the values of which others.
//!
//! A type is followed if every value of the old type is a value of the new one and reads the same. Every other change
//! needs approval.
//!
//! | from | to | why it is lossless |
//! |---|---|---|
//! | `int2`, `int4`, `int8` | a longer one, `decimal` | integers are decimals without a fraction |
//! | `decimal(p,s)` | more digits before or behind the point, or no bound | no digit is dropped |
//! | `float4` | `float8` | every single is a double; its digits are those of the single |
//! | `text(n)` | longer, or no bound; `char` and `varchar` are texts | stored texts stay as they are |
//! | `date` | `timestamp` | midnight, as every database converts it |
//!
//! Not followed, though some databases convert them: adding or removing a time zone (the zone is unknown), numbers to
//! text (they sort differently), `json` and `jsonb`, floats and decimals. In a key only integers, decimals and texts
//! are followed, each among themselves: a row must stay the same row.

use schemas::column::ColumnType;

/// How a new type relates to an old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Widening {
    /// The same.
    Same,
    /// Values of both are values of this type.
    Widen(ColumnType),
    /// The old type holds all values of the new one and stays.
    Narrower,
    /// The values would not mean the same.
    Refused,
}

/// Compares a column's type with its known type.
#[must_use]
pub fn widened(old: &ColumnType, new: &ColumnType) -> Widening {
    match join(old, new) {
        None => Widening::Refused,
        Some(_) if old == new => Widening::Same,
        Some(both) if both == canonical(old) => Widening::Narrower,
        Some(both) => Widening::Widen(both),
    }
}

/// Compares types of a key column, whose values must keep the same bytes: an integer that became a decimal would be
/// another key to a tombstone.
#[must_use]
pub fn widened_key(old: &ColumnType, new: &ColumnType) -> Widening {
    let same_bytes = old == new
        || (digits(old).is_some() && digits(new).is_some())
        || matches!(
            (old, new),
            (ColumnType::Text { .. }, ColumnType::Text { .. })
                | (ColumnType::Decimal { .. }, ColumnType::Decimal { .. })
        );
    if same_bytes {
        widened(old, new)
    } else {
        Widening::Refused
    }
}

/// Returns the narrowest type that holds the values of both without loss, if any.
#[must_use]
pub fn join(one: &ColumnType, other: &ColumnType) -> Option<ColumnType> {
    use ColumnType::{Date, Decimal, Float4, Float8, Text, Timestamp};
    if one == other {
        return Some(canonical(one));
    }
    if let (Some(a), Some(b)) = (digits(one), digits(other)) {
        return Some(if a >= b { one.clone() } else { other.clone() });
    }
    Some(match (one, other) {
        (Float4, Float8) | (Float8, Float4) => Float8,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        (Text { max: a }, Text { max: b }) => Text {
            max: a.zip(*b).map(|(a, b)| a.max(b)),
        },
        (Decimal { .. }, _) | (_, Decimal { .. }) => match (extent(one)?, extent(other)?) {
            (Some(a), Some(b)) => bounded(a.0.max(b.0), a.1.max(b.1)),
            _ => UNBOUNDED,
        },
        _ => return None,
    })
}

const UNBOUNDED: ColumnType = ColumnType::Decimal {
    precision: None,
    scale: None,
};

/// Returns the decimal digits of an integer type.
fn digits(kind: &ColumnType) -> Option<i32> {
    match kind {
        ColumnType::Int2 => Some(5),
        ColumnType::Int4 => Some(10),
        ColumnType::Int8 => Some(19),
        _ => None,
    }
}

/// Returns the digits before and after the point; inner `None`: unbounded; outer `None`: neither a decimal nor an
/// integer.
fn extent(kind: &ColumnType) -> Option<Option<(i32, i32)>> {
    if let Some(digits) = digits(kind) {
        return Some(Some((digits, 0)));
    }
    let ColumnType::Decimal { precision, scale } = kind else {
        return None;
    };
    Some(precision.map(|precision| {
        let scale = i32::from(scale.unwrap_or(0));
        (i32::from(precision) - scale, scale)
    }))
}

fn bounded(before: i32, behind: i32) -> ColumnType {
    let digits = u16::try_from(before + behind).ok();
    match (digits, i16::try_from(behind).ok()) {
        (Some(digits), Some(behind)) => ColumnType::Decimal {
            precision: Some(digits),
            scale: Some(behind),
        },
        _ => UNBOUNDED,
    }
}

/// Returns one form for `decimal(5)` and `decimal(5,0)`.
fn canonical(kind: &ColumnType) -> ColumnType {
    match (kind, extent(kind)) {
        (ColumnType::Decimal { .. }, Some(Some((before, behind)))) => bounded(before, behind),
        (ColumnType::Decimal { .. }, _) => UNBOUNDED,
        _ => kind.clone(),
    }
}

/// Returns a type's name in SQL, for people.
#[must_use]
pub fn sql_type_name(kind: &ColumnType) -> String {
    let word = match kind {
        ColumnType::Bool => "boolean",
        ColumnType::Int2 => "smallint",
        ColumnType::Int4 => "integer",
        ColumnType::Int8 => "bigint",
        ColumnType::Float4 => "real",
        ColumnType::Float8 => "double precision",
        ColumnType::Decimal {
            precision: Some(precision),
            scale,
        } => return format!("numeric({precision},{})", scale.unwrap_or(0)),
        ColumnType::Decimal { .. } => "numeric",
        ColumnType::Text { max: Some(max) } => return format!("varchar({max})"),
        ColumnType::Text { .. } => "text",
        ColumnType::Bytes => "bytea",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::TimeTz => "time with time zone",
        ColumnType::Timestamp => "timestamp",
        ColumnType::TimestampTz => "timestamp with time zone",
        ColumnType::Interval => "interval",
        ColumnType::Uuid => "uuid",
        ColumnType::Json => "json",
        ColumnType::Jsonb => "jsonb",
        ColumnType::Any => "no declared type",
        ColumnType::Other { native } => native,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(precision: u16, scale: i16) -> ColumnType {
        ColumnType::Decimal {
            precision: Some(precision),
            scale: Some(scale),
        }
    }

    fn any_type() -> impl Strategy<Value = ColumnType> {
        prop_oneof![
            Just(ColumnType::Bool),
            Just(ColumnType::Int2),
            Just(ColumnType::Int4),
            Just(ColumnType::Int8),
            Just(ColumnType::Float4),
            Just(ColumnType::Float8),
            Just(UNBOUNDED),
            (1_u16..40, proptest::option::of(-5_i16..45)).prop_map(|(precision, scale)| {
                ColumnType::Decimal {
                    precision: Some(precision),
                    scale,
                }
            }),
            proptest::option::of(1_u32..60).prop_map(|max| ColumnType::Text { max }),
            Just(ColumnType::Bytes),
            Just(ColumnType::Date),
            Just(ColumnType::Timestamp),
            Just(ColumnType::TimestampTz),
            Just(ColumnType::Json),
            Just(ColumnType::Jsonb),
            Just(ColumnType::Any),
            Just(ColumnType::Other {
                native: "mood".to_owned()
            }),
        ]
    }

    proptest! {
        /// Independent of the order of chunks, the table ends with the same type.
        #[test]
        fn widening_is_independent_of_order(a in any_type(), b in any_type(), c in any_type()) {
            prop_assert_eq!(join(&a, &a), Some(canonical(&a)));
            prop_assert_eq!(join(&a, &b), join(&b, &a));
            let left = join(&a, &b).and_then(|ab| join(&ab, &c));
            let right = join(&b, &c).and_then(|bc| join(&a, &bc));
            if let (Some(left), Some(right)) = (&left, &right) {
                prop_assert_eq!(left, right);
            }
        }

        /// A widened type holds both types: an older chunk that arrives later still fits.
        #[test]
        fn widening_result_holds_both_types(a in any_type(), b in any_type()) {
            if let Widening::Widen(both) = widened(&a, &b) {
                prop_assert_ne!(&both, &a);
                prop_assert!(matches!(widened(&both, &a), Widening::Narrower | Widening::Same));
                prop_assert!(matches!(widened(&both, &b), Widening::Narrower | Widening::Same));
                prop_assert_eq!(widened(&b, &a) == Widening::Refused, false);
            }
        }

        /// The common type has a place for every digit of an integer or a decimal.
        #[test]
        fn widening_drops_no_digit(a in any_type(), b in any_type()) {
            if let (Some(Some(a)), Some(Some(b)), Some(Some(Some(both)))) =
                (extent(&a), extent(&b), join(&a, &b).map(|both| extent(&both)))
            {
                prop_assert!(both.0 >= a.0.max(b.0) && both.1 >= a.1.max(b.1));
            }
        }
    }

    #[test]
    fn widening_documented_changes_are_followed() {
        let text = |max| ColumnType::Text { max };
        for (old, new, both) in [
            (ColumnType::Int2, ColumnType::Int4, ColumnType::Int4),
            (ColumnType::Int4, ColumnType::Int8, ColumnType::Int8),
            (ColumnType::Int4, decimal(12, 2), decimal(12, 2)),
            (ColumnType::Int8, decimal(6, 2), decimal(21, 2)),
            (ColumnType::Float4, ColumnType::Float8, ColumnType::Float8),
            (text(Some(3)), text(Some(9)), text(Some(9))),
            (text(Some(3)), text(None), text(None)),
            (decimal(8, 2), decimal(10, 4), decimal(10, 4)),
            (decimal(8, 2), decimal(8, 4), decimal(10, 4)),
            (decimal(8, 2), UNBOUNDED, UNBOUNDED),
            (ColumnType::Date, ColumnType::Timestamp, ColumnType::Timestamp),
        ] {
            assert_eq!(widened(&old, &new), Widening::Widen(both), "{old:?} -> {new:?}");
        }
        assert_eq!(widened(&ColumnType::Int8, &ColumnType::Int2), Widening::Narrower);
        assert_eq!(widened(&text(None), &text(Some(3))), Widening::Narrower);
        assert_eq!(widened(&decimal(9, 2), &decimal(9, 2)), Widening::Same);
    }

    #[test]
    fn widening_other_meaning_is_refused() {
        let text = ColumnType::Text { max: None };
        for (old, new) in [
            (ColumnType::Int4, text.clone()),
            (text, UNBOUNDED),
            (ColumnType::Float8, UNBOUNDED),
            (ColumnType::Timestamp, ColumnType::TimestampTz),
            (ColumnType::Date, ColumnType::TimestampTz),
            (ColumnType::Json, ColumnType::Jsonb),
            (ColumnType::Bool, ColumnType::Int4),
        ] {
            assert_eq!(widened(&old, &new), Widening::Refused, "{old:?} -> {new:?}");
        }
        let key = widened_key(&ColumnType::Int4, &decimal(10, 0));
        assert_eq!(key, Widening::Refused, "a key's bytes change");
        assert_eq!(
            widened_key(&decimal(8, 2), &decimal(10, 4)),
            Widening::Widen(decimal(10, 4))
        );
        assert!(matches!(
            widened_key(&ColumnType::Int4, &ColumnType::Int8),
            Widening::Widen(_)
        ));
    }
}
