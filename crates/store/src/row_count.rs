//! PURE: how many rows a table has, compared with the stored rows.

use schemas::name::Lane;

/// The row count of one lane's table, compared with the stored rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCount {
    /// The lane.
    pub lane: Lane,
    /// The table, in SQL.
    pub table: String,
    /// Whether others may add rows to it, because it existed before.
    pub is_shared: bool,
    /// The result of the count.
    pub rows: Rows,
}

/// The result of counting a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The table is missing, or another one has its name.
    Gone,
    /// The table was counted.
    Counted {
        /// The expected number, from the ledger.
        stored: u64,
        /// The actual number.
        found: u64,
    },
    /// Unknown: the count takes too long, or the server does not report new rows of this table.
    Unknown,
}

/// How a table differs from the stored rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// The table is missing.
    Gone,
    /// It has fewer rows.
    Fewer {
        /// How many are missing.
        missing: u64,
    },
    /// It has more rows.
    More {
        /// The number of additional rows.
        surplus: u64,
    },
}

impl RowCount {
    /// PURE: returns how the table differs; `None` if no difference is known.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        match self.rows {
            Rows::Gone => Some(Difference::Gone),
            Rows::Unknown => None,
            Rows::Counted { stored, found } if found < stored => Some(Difference::Fewer {
                missing: stored - found,
            }),
            Rows::Counted { stored, found } if found > stored && !self.is_shared => Some(Difference::More {
                surplus: found - stored,
            }),
            Rows::Counted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store_testing::samples::lane;

    #[test]
    fn row_count_of_shared_table_reports_only_missing_rows() {
        let difference = |is_shared, rows| {
            RowCount {
                lane: lane(),
                table: "setl".to_owned(),
                is_shared,
                rows,
            }
            .difference()
        };
        let counted = |stored, found| Rows::Counted { stored, found };
        assert_eq!(difference(false, counted(3, 3)), None);
        assert_eq!(difference(true, counted(3, 5)), None);
        assert_eq!(
            difference(false, counted(3, 5)),
            Some(Difference::More { surplus: 2 })
        );
        for is_shared in [false, true] {
            assert_eq!(
                difference(is_shared, counted(3, 1)),
                Some(Difference::Fewer { missing: 2 })
            );
            assert_eq!(difference(is_shared, Rows::Gone), Some(Difference::Gone));
            assert_eq!(difference(is_shared, Rows::Unknown), None);
        }
    }
}
