//! PURE: whether a position lies beyond everything that the source holds.
//!
//! Numbers that were used and are given out again lie below the position and are never read. It shows where the source's
//! greatest value is below the position: rows are gone, and what comes next may take their places.

use schemas::cursor::{Cursor, Scalar};

/// What a look showed of the first cursor column.
#[derive(Debug, Clone, Copy)]
pub struct Greatest<'a> {
    /// The greatest value; none: there is no row.
    pub value: Option<&'a Scalar>,
    /// The greatest number that was given out, where the database tells: rows above the greatest value were deleted,
    /// and their numbers do not come again.
    pub given_out: Option<i64>,
    /// Whether texts are judged, too. Not where the database's identity proves more than a deleted row can disprove.
    pub with_texts: bool,
}

/// Returns the positions that lie beyond it.
#[must_use]
pub fn beyond(positions: &[Cursor], greatest: Greatest<'_>) -> Vec<Cursor> {
    let is_beyond = |position: &&Cursor| position.0.first().is_some_and(|first| is_above(first, greatest));
    positions.iter().filter(is_beyond).cloned().collect()
}

fn is_above(position: &Scalar, greatest: Greatest<'_>) -> bool {
    match (position, greatest.value) {
        (Scalar::Int(position), value) => {
            let is_above = match value {
                Some(Scalar::Int(value)) => value < position,
                Some(Scalar::Text(_)) => false,
                None => true,
            };
            is_above && greatest.given_out.is_none_or(|given_out| given_out < *position)
        }
        (Scalar::Text(_), _) if !greatest.with_texts => false,
        (Scalar::Text(position), Some(Scalar::Text(value))) => {
            is_plain(position) && is_plain(value) && value < position
        }
        (Scalar::Text(_), Some(Scalar::Int(_))) => false,
        (Scalar::Text(position), None) => is_plain(position),
    }
}

/// Times and numbers, whose order does not depend on a collation.
fn is_plain(text: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_digit() || "-+:. TZ".contains(sign);
    text.chars().all(is_sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn above(position: Scalar, value: Option<&Scalar>, given_out: Option<i64>) -> bool {
        let greatest = Greatest {
            value,
            given_out,
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
        // The sequence goes on above it: the newest rows were deleted.
        assert!(!above(int(9), Some(&int(8)), Some(9)) && !above(int(9), None, Some(12)));
        assert!(above(int(9), Some(&int(8)), Some(8)), "the sequence was set back");
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
        // Words have an order that only the database knows.
        assert!(!above(text("b"), Some(&text("A")), None));
    }
}
