//! Compares the source with what was read before: its identity, its clock and its content.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceIdentity;

use super::activity::snapshots::Activity;
use super::sequence::{self, Sequence};
use super::session::SessionGuard;
use super::source_mark::{self, MarkQuery};
use crate::error::{Error, ErrorKind, Result};
use crate::fence::{ClockReading, ClockSample, Fence, SourceClock};
use crate::instant::TimeEncoding;
use crate::port::LanePosition;
use crate::position_check::{GreatestValue, above, beyond};

/// What opening the feed found out for the guard.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Tables that the feed reads, quoted.
    pub(super) tables: Vec<String>,
    /// The sequence that fills the cursor.
    pub(super) sequence: Option<Sequence>,
    /// How the cursor holds times, if a time fence is taken.
    pub(super) format: Option<TimeEncoding>,
}

/// A feed's clock. It outlives the feed's readers, so that a step during an outage is detected.
#[derive(Debug)]
pub(super) struct FeedClock {
    clock: Mutex<SourceClock>,
    began: Instant,
}

impl FeedClock {
    pub(super) fn new(margin: Duration) -> Self {
        Self {
            clock: Mutex::new(SourceClock::new(margin)),
            began: Instant::now(),
        }
    }
}

/// The guard of one feed.
pub(super) struct Guard {
    facts: Facts,
    clock: Arc<FeedClock>,
    resolution: Duration,
    lane_positions: Vec<LanePosition>,
    /// When the feed was opened.
    opened: Instant,
    /// The connection that the last fence was taken on.
    fenced_on: Option<u64>,
}

impl Guard {
    pub(super) fn new(facts: Facts, clock: Arc<FeedClock>, resolution: Duration) -> Self {
        Self {
            facts,
            clock,
            resolution,
            lane_positions: Vec::new(),
            opened: Instant::now(),
            fenced_on: None,
        }
    }

    pub(super) fn set_lane_positions(&mut self, lane_positions: Vec<LanePosition>) {
        self.lane_positions = lane_positions;
    }

    /// Sets the step that the cursor rounds times to.
    pub(super) fn round_to(&mut self, resolution: Duration) {
        self.resolution = resolution;
    }

    /// Refuses a new connection: it may lead to another server, and a fence is valid for one connection.
    pub(super) fn admit(&self, locked: &SessionGuard<'_>) -> Result<()> {
        let generation = locked.connection()?.generation;
        if self.fenced_on.is_none_or(|fenced| fenced == generation) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            "the connection to the source was replaced",
            "the feed is opened again, and the source compared with what was read before",
        ))
    }

    /// Bounds a fence by the state of the clock, and returns the positions that must move back.
    pub(super) fn clock(
        &self,
        activity: &Activity,
        below: Option<Timestamp>,
    ) -> (ClockReading, Vec<(Cursor, Cursor)>) {
        let reached = |position: &Cursor| self.facts.format?.reached(position.0.first()?);
        let steady = |at: Instant| at.saturating_duration_since(self.clock.began);
        let sample = ClockSample {
            source: activity.seen.at,
            agent: activity.agent,
            steady: (steady(activity.began), steady(activity.ended)),
            position: self
                .lane_positions
                .iter()
                .filter_map(|one| reached(&one.position))
                .max(),
            read_at: self.lane_positions.iter().filter_map(|one| one.read_at).min(),
        };
        let mut clock = self.clock.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = clock.observe(&sample, below);
        drop(clock);
        let reread_from = reading
            .reread_from
            .map_or_else(Vec::new, |time| self.reached(time));
        (reading, reread_from)
    }

    /// Returns the positions that have reached a time, each with the one before that time.
    pub(super) fn reached(&self, time: Timestamp) -> Vec<(Cursor, Cursor)> {
        let back = |position: &Cursor| {
            let format = self.facts.format?;
            format
                .reached(position.0.first()?)
                .filter(|reached| *reached >= time)?;
            let mut values = position.0.clone();
            *values.first_mut()? = format.before(time, self.resolution)?;
            Some((position.clone(), Cursor(values)))
        };
        let positions = self.lane_positions.iter();
        positions.filter_map(|one| back(&one.position)).collect()
    }

    /// Returns the positions above a fence, each with one within it.
    pub(super) fn above(&self, fence: Option<&Fence>) -> Vec<(Cursor, Cursor)> {
        let positions = self.lane_positions.iter();
        let positions: Vec<Cursor> = positions.map(|one| one.position.clone()).collect();
        match fence {
            Some(Fence::UpTo(greatest)) => above(&positions, Some(greatest)),
            Some(Fence::Below(_) | Fence::Open) => Vec::new(),
            None => above(&positions, None),
        }
    }

    /// Returns positions above everything in the source, by the greatest value of the first cursor column.
    pub(super) async fn beyond(
        &self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        high: Option<&Scalar>,
    ) -> Result<Vec<Cursor>> {
        let positions: Vec<Cursor> = self
            .lane_positions
            .iter()
            .map(|one| one.position.clone())
            .collect();
        let beyond = |last_assigned| {
            let greatest = GreatestValue {
                value: high,
                last_assigned,
                with_texts: false,
            };
            beyond(&positions, greatest)
        };
        let found = beyond(None);
        let sequence = self.facts.sequence.as_ref().filter(|one| one.is_readable);
        // The sequence's last number can only disprove it.
        match sequence.filter(|_| !found.is_empty()) {
            Some(sequence) => Ok(beyond(sequence::last_value(locked, permit, sequence.oid).await?)),
            None => Ok(found),
        }
    }

    /// Reads the database's identity. If transactions were observed, it is read after that (`after`): every row within the fence was
    /// committed before.
    pub(super) async fn identify(
        &mut self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        after: Option<Instant>,
    ) -> Result<SourceIdentity> {
        let asked = MarkQuery {
            log_after: after,
            tables: &self.facts.tables,
            tables_after: self.opened,
        };
        let mark = source_mark::ask(locked, permit, &asked).await?;
        self.fenced_on = Some(locked.connection()?.generation);
        Ok(mark)
    }
}
