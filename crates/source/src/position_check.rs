//! PURE: whether a position is above every value in the source.
//!
//! If the greatest value is below a position, rows were removed. New rows may reuse their numbers, which are below the position
//! and are never read.

use schemas::cursor::{Cursor, Scalar};

/// The greatest value of the first cursor column.
#[derive(Debug, Clone, Copy)]
pub struct GreatestValue<'a> {
    /// The greatest value, or `None` if there is no row.
    pub value: Option<&'a Scalar>,
    /// The greatest number that the database assigned, if it reports it. Rows between it and the greatest value were deleted,
    /// and their numbers are not reused.
    pub last_assigned: Option<i64>,
    /// Whether texts are compared. False where the database's identity proves more than a deleted row can disprove.
    pub with_texts: bool,
}

/// Returns the positions that are above the greatest value.
#[must_use]
pub fn beyond(positions: &[Cursor], greatest: GreatestValue<'_>) -> Vec<Cursor> {
    let is_beyond = |position: &&Cursor| position.0.first().is_some_and(|first| is_above(first, greatest));
    positions.iter().filter(is_beyond).cloned().collect()
}

/// Returns the positions above a fence, each with one within it: its first value is lowered to the fence's greatest value, or below
/// every number if the source is empty.
#[must_use]
pub fn above(positions: &[Cursor], greatest: Option<&Scalar>) -> Vec<(Cursor, Cursor)> {
    let lowered = |first: &Scalar| match (first, greatest) {
        (Scalar::Int(_), None) => Some(Scalar::Int(i64::MIN)),
        (Scalar::Int(first), Some(Scalar::Int(value))) => (value < first).then_some(Scalar::Int(*value)),
        (Scalar::Text(first), Some(Scalar::Text(value))) => {
            (is_plain(first) && is_plain(value) && value < first).then(|| Scalar::Text(value.clone()))
        }
        _ => None,
    };
    let pair = |position: &Cursor| {
        let mut values = position.0.clone();
        let first = values.first_mut()?;
        *first = lowered(first)?;
        Some((position.clone(), Cursor(values)))
    };
    positions.iter().filter_map(pair).collect()
}

fn is_above(position: &Scalar, greatest: GreatestValue<'_>) -> bool {
    match (position, greatest.value) {
        (Scalar::Int(position), value) => {
            let is_above = match value {
                Some(Scalar::Int(value)) => value < position,
                Some(Scalar::Text(_)) => false,
                None => true,
            };
            is_above
                && greatest
                    .last_assigned
                    .is_none_or(|last_assigned| last_assigned < *position)
        }
        (Scalar::Text(_), _) if !greatest.with_texts => false,
        (Scalar::Text(position), Some(Scalar::Text(value))) => {
            is_plain(position) && is_plain(value) && value < position
        }
        (Scalar::Text(_), Some(Scalar::Int(_))) => false,
        (Scalar::Text(position), None) => is_plain(position),
    }
}

/// Whether a text is a time or a number, whose order does not depend on a collation.
fn is_plain(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_digit() || "-+:. TZ".contains(sign);
    text.chars().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(position: Scalar, value: Option<&Scalar>, last_assigned: Option<i64>) -> bool {
        let greatest = GreatestValue {
            value,
            last_assigned,
            with_texts: true,
        };
        !beyond(&[Cursor(vec![position, Scalar::Int(1)])], greatest).is_empty()
    }

    #[test]
    fn position_beyond_the_greatest_number_is_found() {
        let int = Scalar::Int;
        assert!(above(int(9), Some(&int(8)), None));
        assert!(above(int(9), None, None), "no row is left");
        assert!(!above(int(9), Some(&int(9)), None) && !above(int(9), Some(&int(10)), None));
        // The sequence is above the position: the newest rows were deleted.
        assert!(!above(int(9), Some(&int(8)), Some(9)) && !above(int(9), None, Some(12)));
        assert!(above(int(9), Some(&int(8)), Some(8)), "the sequence was set back");
    }

    #[test]
    fn position_above_a_fence_is_lowered_to_it() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        for (first, greatest, wanted) in [
            (Scalar::Int(50), Some(Scalar::Int(30)), Some(Scalar::Int(30))),
            (Scalar::Int(50), Some(Scalar::Int(50)), None),
            (Scalar::Int(50), None, Some(Scalar::Int(i64::MIN))),
            (
                text("2026-01-02"),
                Some(text("2026-01-01")),
                Some(text("2026-01-01")),
            ),
            (text("2026-01-02"), Some(text("2026-01-03")), None),
            (text("b"), Some(text("A")), None),
            (text("2026-01-02"), None, None),
        ] {
            let position = Cursor(vec![first, Scalar::Int(7)]);
            let wanted: Vec<_> = wanted
                .map(|first| (position.clone(), Cursor(vec![first, Scalar::Int(7)])))
                .into_iter()
                .collect();
            assert_eq!(super::above(&[position], greatest.as_ref()), wanted);
        }
    }

    #[test]
    fn position_beyond_the_greatest_time_is_found() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        assert!(above(
            text("2026-01-02 10:00:00"),
            Some(&text("2026-01-02 09:59:59")),
            None
        ));
        assert!(!above(
            text("2026-01-02 10:00:00"),
            Some(&text("2026-01-02 10:00:00")),
            None
        ));
        assert!(above(text("2026-01-02"), None, None));
        // The order of words depends on the database's collation.
        assert!(!above(text("b"), Some(&text("A")), None));
    }
}
