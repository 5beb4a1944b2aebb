//! PURE: which lanes of a feed share a read.
//!
//! Recipients at equal cursors share one read of the core. One that lags is read for alone
//! until it has caught up; as all groups read within the same fence in a round, the last round
//! of the one that lagged ends where the others stand, and they go on together. The order of
//! cursors is the database's, so only equality is ever asked. Lanes for which other rows are kept
//! back never share.

use schemas::cursor::Cursor;
use schemas::load::Load;

use crate::chunker::{Chunker, ChunkerError};

/// A lane's part in a group: its index in the feed, and the generation it was read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index of the lane.
    pub lane: usize,
    /// Its generation when it joined.
    pub generation: u64,
}

/// Lanes at equal cursors, and the block that is being filled for them.
#[derive(Debug)]
pub struct Group {
    /// The lanes.
    pub members: Vec<Member>,
    /// Takes their rows.
    pub chunker: Chunker,
    /// The load that the open block's rows were read under.
    pub load: Load,
    /// Rows of the next quantum at most.
    pub limit: usize,
    /// Nothing more within the round's fence.
    pub drained: bool,
}

/// Drops members whose generation is over, and groups without members.
pub fn prune(groups: &mut Vec<Group>, current: impl Fn(usize) -> Option<u64>) {
    for group in groups.iter_mut() {
        group
            .members
            .retain(|member| current(member.lane) == Some(member.generation));
    }
    groups.retain(|group| !group.members.is_empty());
}

/// Joins groups that stand at the same place with nothing open.
///
/// # Errors
/// [`ChunkerError`] when a group's position cannot be told.
pub fn join(groups: Vec<Group>) -> Result<Vec<Group>, ChunkerError> {
    let mut joined: Vec<(Option<Option<Cursor>>, Group)> = Vec::with_capacity(groups.len());
    for group in groups {
        let at = match group.chunker.open_since() {
            None => Some(group.chunker.position()?),
            Some(_) => None,
        };
        let fits = |(other, there): &&mut (Option<Option<Cursor>>, Group)| {
            at.is_some() && *other == at && there.chunker.withhold() == group.chunker.withhold()
        };
        match joined.iter_mut().find(fits) {
            Some((_, other)) => {
                other.members.extend(group.members);
                other.drained &= group.drained;
            }
            None => joined.push((at, group)),
        }
    }
    Ok(joined.into_iter().map(|(_, group)| group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::column::{Column, ColumnType, RowSchema};
    use schemas::cursor::Scalar;
    use schemas::value::Value;
    use source::RowSink as _;

    fn group(lane: usize, at: i64) -> Group {
        let schema = RowSchema {
            name: "f".into(),
            version: 1,
            columns: vec![Column {
                name: "id".into(),
                kind: ColumnType::Int8,
                nullable: false,
            }],
            key: vec!["id".into()],
            tombstone: None,
        };
        let before = Some(Cursor(vec![Scalar::Int(at)]));
        Group {
            members: vec![Member { lane, generation: 1 }],
            chunker: Chunker::new(&schema, &["id".into()], &[], before).unwrap(),
            load: Load::default(),
            limit: 1,
            drained: true,
        }
    }

    #[test]
    fn recipients_at_equal_cursors_share_one_read_and_a_lagging_one_does_not() {
        let joined = join(vec![group(0, 5), group(1, 5), group(2, 4)]).unwrap();
        let members: Vec<usize> = joined.iter().map(|group| group.members.len()).collect();
        assert_eq!(members, [2, 1]);
    }

    #[test]
    fn a_group_with_an_open_block_is_joined_by_nobody() {
        let mut open = group(0, 4);
        open.chunker.row(&[Value::Int(5)]);
        assert_eq!(join(vec![open, group(1, 5)]).unwrap().len(), 2);
    }

    #[test]
    fn a_lane_that_went_elsewhere_leaves_its_group() {
        let mut groups = join(vec![group(0, 5), group(1, 5)]).unwrap();
        prune(&mut groups, |lane| Some(if lane == 0 { 1 } else { 2 }));
        assert_eq!(
            groups[0].members,
            [Member {
                lane: 0,
                generation: 1
            }]
        );
        prune(&mut groups, |_| None);
        assert!(groups.is_empty());
    }
}
