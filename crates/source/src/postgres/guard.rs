//! What is looked at beside the fence: whether the source is the one that was read before, whether its clock and its content
//! went back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use schemas::cursor::{Cursor, Scalar};
use schemas::source::SourceMark;

use super::activity::Activity;
use super::sequence::{self, Sequence};
use super::session::Turn;
use super::source_mark::{self, Asked};
use crate::backwards::{Greatest, beyond};
use crate::error::{Error, ErrorKind, Result};
use crate::fence::{ClockLook, ClockReading, SourceClock};
use crate::instant::TimeForm;
use crate::port::Standing;

/// What opening the feed found out for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    /// Tables that the feed reads, quoted.
    pub(super) tables: Vec<String>,
    /// The sequence that fills the cursor.
    pub(super) sequence: Option<Sequence>,
    /// How the cursor holds times, where a fence is taken by them.
    pub(super) form: Option<TimeForm>,
}

/// A feed's clock: it outlives the feed's readers, so that a step while the source was not reached is found.
#[derive(Debug)]
pub(super) struct Clock {
    clock: Mutex<SourceClock>,
    began: Instant,
}

impl Clock {
    pub(super) fn new(margin: Duration) -> Self {
        Self {
            clock: Mutex::new(SourceClock::new(margin)),
            began: Instant::now(),
        }
    }
}

/// One feed's.
pub(super) struct Guard {
    facts: Facts,
    clock: Arc<Clock>,
    resolution: Duration,
    standings: Vec<Standing>,
    /// When the feed was opened.
    opened: Instant,
    /// The connection that the last fence was taken on.
    fenced_on: Option<u64>,
}

impl Guard {
    pub(super) fn new(facts: Facts, clock: Arc<Clock>, resolution: Duration) -> Self {
        Self {
            facts,
            clock,
            resolution,
            standings: Vec::new(),
            opened: Instant::now(),
            fenced_on: None,
        }
    }

    pub(super) fn stands_at(&mut self, standings: Vec<Standing>) {
        self.standings = standings;
    }

    /// What the cursor rounds times to, from now on.
    pub(super) fn round_to(&mut self, resolution: Duration) {
        self.resolution = resolution;
    }

    /// A fence is one connection's: behind another there may be another server.
    pub(super) fn admit(&self, turn: &Turn<'_>) -> Result<()> {
        let generation = turn.live()?.generation;
        if self.fenced_on.is_none_or(|fenced| fenced == generation) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unreachable,
            "the connection to the source was replaced",
            "the feed is opened again, and the source compared with what was read before",
        ))
    }

    /// Bounds a fence by what is known of the clock; gives the positions to be taken back, too.
    pub(super) fn clock(
        &self,
        activity: &Activity,
        below: Option<Timestamp>,
    ) -> (ClockReading, Vec<(Cursor, Cursor)>) {
        let reached = |position: &Cursor| self.facts.form?.reached(position.0.first()?);
        let steady = |at: Instant| at.saturating_duration_since(self.clock.began);
        let look = ClockLook {
            source: activity.seen.at,
            agent: activity.agent,
            steady: (steady(activity.began), steady(activity.ended)),
            position: self
                .standings
                .iter()
                .filter_map(|one| reached(&one.position))
                .max(),
            read_at: self.standings.iter().filter_map(|one| one.read_at).min(),
        };
        let mut clock = self.clock.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = clock.take(&look, below);
        let back = |position: &Cursor| {
            let again = reading.again.filter(|again| reached(position) >= Some(*again))?;
            let mut values = position.0.clone();
            *values.first_mut()? = self.facts.form?.before(again, self.resolution)?;
            Some((position.clone(), Cursor(values)))
        };
        let again = self
            .standings
            .iter()
            .filter_map(|one| back(&one.position))
            .collect();
        (reading, again)
    }

    /// Positions beyond everything that the source holds, by the greatest value of the first cursor column.
    pub(super) async fn beyond(
        &self,
        turn: &mut Turn<'_>,
        permit: &Permit,
        high: Option<&Scalar>,
    ) -> Result<Vec<Cursor>> {
        let positions: Vec<Cursor> = self.standings.iter().map(|one| one.position.clone()).collect();
        let beyond = |given_out| {
            let greatest = Greatest {
                value: high,
                given_out,
                with_texts: false,
            };
            beyond(&positions, greatest)
        };
        let found = beyond(None);
        let sequence = self.facts.sequence.as_ref().filter(|one| one.is_readable);
        // What a sequence gave out can only disprove it.
        match sequence.filter(|_| !found.is_empty()) {
            Some(sequence) => Ok(beyond(sequence::last_value(turn, permit, sequence.oid).await?)),
            None => Ok(found),
        }
    }

    /// Which database this is. Where transactions were looked at, it is asked after that (`after`): every row within the
    /// fence was committed before.
    pub(super) async fn identify(
        &mut self,
        turn: &mut Turn<'_>,
        permit: &Permit,
        after: Option<Instant>,
    ) -> Result<SourceMark> {
        let asked = Asked {
            log_after: after,
            tables: &self.facts.tables,
            tables_after: self.opened,
        };
        let mark = source_mark::ask(turn, permit, &asked).await?;
        self.fenced_on = Some(turn.live()?.generation);
        Ok(mark)
    }
}
