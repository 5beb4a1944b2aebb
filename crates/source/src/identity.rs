//! PURE: whether a source is the one that was read before.
//!
//! A position is valid for one database. The source mark of the last chunk is compared with the source's current mark. Not
//! compared: addresses (a list of servers, a new name), the server's start (a restart), file numbers of tables (`TRUNCATE`,
//! `CLUSTER`, `VACUUM FULL`), and facts that either mark lacks.

use std::fmt;

use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceIdentity;

/// How a source differs from the one that was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceChange {
    /// Another server, or another file.
    System,
    /// Another database of the same server.
    Database,
    /// A standby was promoted, or a backup was restored to a point in time.
    Timeline {
        /// The timeline that was read before.
        from: u32,
        /// The current timeline.
        to: u32,
    },
    /// It has written less than before.
    RolledBack,
    /// A table was dropped and created again, or another table has its name.
    Table,
}

impl fmt::Display for SourceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str(
                "it is another database server or file than the one that was read before: it was replaced, initialised \
                 or upgraded, or the address leads to another server",
            ),
            Self::Database => f.write_str(
                "the database was dropped and created again, or restored from a dump, since it was read before",
            ),
            Self::Timeline { from, to } => write!(
                f,
                "the server's timeline was {from} and is {to}: a standby was promoted or a backup restored, and commits \
                 that were read may be missing"
            ),
            Self::RolledBack => f.write_str(
                "the database is behind what it was when it was read before: an older copy of it was restored",
            ),
            Self::Table => f.write_str(
                "a table that the feed reads was dropped and created again, or replaced by another, since it was read before",
            ),
        }
    }
}

/// Returns the most significant change, or `None` if nothing changed.
#[must_use]
pub fn detect_change(before: &SourceIdentity, now: &SourceIdentity) -> Option<SourceChange> {
    let differ = |before: &Option<String>, now: &Option<String>| {
        before.as_ref().zip(now.as_ref()).is_some_and(|(a, b)| a != b)
    };
    if differ(&before.system, &now.system) {
        return Some(SourceChange::System);
    }
    if differ(&before.database, &now.database) {
        return Some(SourceChange::Database);
    }
    if let Some((from, to)) = before.timeline.zip(now.timeline).filter(|(a, b)| a != b) {
        return Some(SourceChange::Timeline { from, to });
    }
    if is_behind(before.written.as_ref(), now.written.as_ref()) {
        return Some(SourceChange::RolledBack);
    }
    let is_other = |(name, table): (&String, &String)| now.tables.get(name).is_some_and(|now| now != table);
    before.tables.iter().any(is_other).then_some(SourceChange::Table)
}

/// Returns a wrapping 32-bit counter. It is a text, so that it is not compared as a number.
pub(crate) fn counter(value: u32) -> Scalar {
    Scalar::Text(value.to_string())
}

/// Whether one of the counters went back.
fn is_behind(before: Option<&Cursor>, now: Option<&Cursor>) -> bool {
    let Some((before, now)) = before.zip(now) else {
        return false;
    };
    before.0.iter().zip(&now.0).any(|pair| match pair {
        (Scalar::Int(before), Scalar::Int(now)) => now < before,
        (Scalar::Text(before), Scalar::Text(now)) => {
            let pair = before.parse::<u32>().ok().zip(now.parse::<u32>().ok());
            // A difference of more than half of the range is a step back.
            pair.is_some_and(|(before, now)| now.wrapping_sub(before) > u32::MAX / 2)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> SourceIdentity {
        SourceIdentity {
            system: Some("s".into()),
            database: Some("d".into()),
            timeline: Some(3),
            written: Some(Cursor(vec![Scalar::Int(1_000), Scalar::Int(50)])),
            tables: [("claims".to_owned(), "16385".to_owned())].into(),
        }
    }

    fn written(log: i64, transaction: i64) -> SourceIdentity {
        SourceIdentity {
            written: Some(Cursor(vec![Scalar::Int(log), Scalar::Int(transaction)])),
            ..mark()
        }
    }

    #[test]
    fn identity_survives_normal_operation() {
        assert_eq!(detect_change(&mark(), &mark()), None);
        assert_eq!(detect_change(&mark(), &written(2_000, 50)), None);
        // A fact that one mark lacks (an older version, a missing privilege) is not compared.
        assert_eq!(detect_change(&SourceIdentity::default(), &mark()), None);
        assert_eq!(detect_change(&mark(), &SourceIdentity::default()), None);
        // A feed that reads other tables has another definition, which is checked elsewhere.
        let other = SourceIdentity {
            tables: [("visits".to_owned(), "16399".to_owned())].into(),
            ..mark()
        };
        assert_eq!(detect_change(&mark(), &other), None);
    }

    #[test]
    fn identity_survives_a_wrapped_counter() {
        let counted = |value: u32| SourceIdentity {
            written: Some(Cursor(vec![Scalar::Int(7), counter(value)])),
            ..mark()
        };
        for (before, now) in [(4, 4), (4, 5), (u32::MAX, 0), (u32::MAX - 9, 12)] {
            assert_eq!(
                detect_change(&counted(before), &counted(now)),
                None,
                "{before} {now}"
            );
        }
        for (before, now) in [(5, 4), (0, u32::MAX), (12, u32::MAX - 9)] {
            let back = Some(SourceChange::RolledBack);
            assert_eq!(
                detect_change(&counted(before), &counted(now)),
                back,
                "{before} {now}"
            );
        }
        // A file in WAL mode has no such counter.
        let without = SourceIdentity {
            written: Some(Cursor(vec![Scalar::Int(7)])),
            ..mark()
        };
        assert_eq!(detect_change(&counted(5), &without), None);
        assert_eq!(detect_change(&without, &counted(5)), None);
    }

    #[test]
    fn identity_change_is_reported_by_kind() {
        let with = |change: fn(&mut SourceIdentity)| {
            let mut now = mark();
            change(&mut now);
            detect_change(&mark(), &now)
        };
        assert_eq!(
            with(|now| (now.system, now.timeline) = (Some("t".into()), Some(1))),
            Some(SourceChange::System)
        );
        assert_eq!(
            with(|now| now.database = Some("e".into())),
            Some(SourceChange::Database)
        );
        assert_eq!(
            with(|now| now.timeline = Some(4)),
            Some(SourceChange::Timeline { from: 3, to: 4 })
        );
        assert_eq!(
            with(|now| now.timeline = Some(2)),
            Some(SourceChange::Timeline { from: 3, to: 2 })
        );
        assert_eq!(
            detect_change(&mark(), &written(999, 50)),
            Some(SourceChange::RolledBack)
        );
        assert_eq!(
            detect_change(&mark(), &written(5_000, 49)),
            Some(SourceChange::RolledBack)
        );
        assert_eq!(
            with(|now| now.tables = [("claims".to_owned(), "16400".to_owned())].into()),
            Some(SourceChange::Table)
        );
    }
}
