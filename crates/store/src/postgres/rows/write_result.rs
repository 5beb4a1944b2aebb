//! PURE: the result of a bulk, from the server's answers.

use tokio_postgres::SimpleQueryMessage;

use super::super::numbers;

/// The result of a bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WriteResult {
    /// Whether every row has its expected result.
    pub(super) is_whole: bool,
    /// The number of additional rows in the table.
    pub(super) net: i64,
}

/// The counts of the statements of [`upsert`](super::upsert_sql::UpsertSql::upsert).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UpsertCounts {
    /// The number of written or removed rows.
    pub(super) rows: u64,
    /// The number of additional rows; 0 if new rows are not counted.
    pub(super) net: i64,
}

/// Reads the server's answers. With tombstones the second last statement deletes. The last one returns the numbers of
/// new and of written rows, or only writes if new rows are not counted.
pub(super) fn read_counts(answers: &[SimpleQueryMessage], has_tombstones: bool) -> UpsertCounts {
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
    let signed = numbers::int;
    match counted {
        Some((fresh, written)) => UpsertCounts {
            rows: written + removed,
            net: signed(fresh) - signed(removed),
        },
        None => UpsertCounts {
            rows: last + removed,
            net: 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_result_without_counts_has_written_rows() {
        let complete = SimpleQueryMessage::CommandComplete;
        // A statement before those of the upsert, tombstones, what they delete, and the upsert.
        let answers = [complete(7), complete(2), complete(1), complete(3)];
        let done = |has_tombstones| read_counts(&answers, has_tombstones).rows;
        assert_eq!((done(true), done(false)), (4, 3));
    }
}
