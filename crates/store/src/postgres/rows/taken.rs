//! PURE: what became of a bulk, by what the server answered.

use tokio_postgres::SimpleQueryMessage;

use super::super::records;

/// What became of a bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Whether each row became what it is to be.
    pub(super) is_whole: bool,
    /// How many more rows the table has.
    pub(super) net: i64,
}

/// What the statements of [`upsert`](super::names::Names::upsert) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upserted {
    /// How many rows were written or removed.
    pub(super) rows: u64,
    /// How many more rows the table has; 0 where new rows are not counted.
    pub(super) net: i64,
}

/// Reads what the server answered. With tombstones the statement before the last is the one that deletes. The last
/// returns how many rows are new and how many were written, or, where new rows are not counted, writes by itself.
pub(super) fn upserted(answers: &[SimpleQueryMessage], has_tombstones: bool) -> Upserted {
    let complete = |answer: &SimpleQueryMessage| match answer {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    };
    let mut ends = answers.iter().rev().filter_map(complete);
    let last = ends.next().unwrap_or(0);
    let removed = ends.next().filter(|_| has_tombstones).unwrap_or(0);
    let counted = answers.iter().rev().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => {
            let number = |at: usize| row.get(at)?.parse::<u64>().ok();
            number(0).zip(number(1))
        }
        _ => None,
    });
    let signed = records::signed;
    match counted {
        Some((fresh, written)) => Upserted {
            rows: written + removed,
            net: signed(fresh) - signed(removed),
        },
        None => Upserted {
            rows: last + removed,
            net: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_without_counts_tell_what_was_written() {
        let complete = SimpleQueryMessage::CommandComplete;
        // A statement before those of the upsert, tombstones, what they delete, and the upsert.
        let answers = [complete(7), complete(2), complete(1), complete(3)];
        let done = |has_tombstones| upserted(&answers, has_tombstones).rows;
        assert_eq!((done(true), done(false)), (4, 3));
    }
}
