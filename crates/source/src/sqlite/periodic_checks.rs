//! Checks that prove a feed's order and key, one at a time and only when everything was read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use schemas::source::SourceIdentity;

use super::check;
use super::key;
use super::order;
use super::reader::SqliteReader;
use crate::check_schedule::{Check, FORMATS, FUTURE, next_interval};
use crate::error::Result;
use crate::evidence::{CURSOR_UNPROVEN, KEY_UNPROVEN};
use crate::key_proof::GOOD_FOR;
use crate::nulls;
use crate::unordered_rows::{set_format_mismatches, set_future_rows};

impl SqliteReader {
    /// Runs the check that is due. Returns whether one was.
    pub(super) async fn run_due_check(&mut self, permit: &Permit) -> Result<bool> {
        let Some(check) = self.schedule.next(self.began.elapsed()) else {
            return Ok(false);
        };
        let began = Instant::now();
        let ran = match check {
            Check::Future => self.check_future_rows(permit).await.map(|()| FUTURE),
            Check::Formats => self.advance_search(permit).await,
            Check::Key => self.check_key(permit).await,
            Check::Nulls => self.check_nulls(permit).await.map(|()| nulls::EVERY),
        };
        let Some(every) = next_interval(check, ran, &mut self.evidence)? else {
            return Ok(false);
        };
        self.schedule
            .record_run(check, self.began.elapsed(), began.elapsed(), every);
        Ok(true)
    }

    async fn check_future_rows(&mut self, permit: &Permit) -> Result<()> {
        let Some(format) = &self.format else { return Ok(()) };
        let tolerance = self.feed.clock.tolerance;
        let Some(bound) = order::greatest(format, &self.zone, Timestamp::now(), tolerance) else {
            return Ok(());
        };
        let checked = Arc::clone(&self.checked);
        let found = self
            .worker
            .run(permit, move |connection, _| {
                order::above(connection, &checked, &bound)
            })
            .await?;
        set_future_rows(&mut self.evidence, &self.feed, found, "the source's clock");
        Ok(())
    }

    /// Continues the search for cursors of another format.
    async fn advance_search(&mut self, permit: &Permit) -> Result<Duration> {
        let Some(format) = self.format.clone().filter(|_| self.checked.keyset.only.is_some()) else {
            return Ok(FORMATS);
        };
        let (checked, search) = (Arc::clone(&self.checked), self.search.clone());
        let within = permit.quantum();
        self.search = self
            .worker
            .run(permit, move |connection, token| {
                search.advance(connection, token, &checked, within)
            })
            .await?;
        if !self.search.is_complete {
            return Ok(Duration::ZERO);
        }
        self.search.evaluate(&self.feed, &format)?;
        self.show_search();
        // Later rows may change less often, or have another format.
        self.format = None;
        let again = self.find_format(permit).await;
        if self.format.is_none() {
            self.format = Some(format);
        }
        again.map(|()| FORMATS)
    }

    /// Reports the result of the last complete search, or the progress of the first.
    pub(super) fn show_search(&mut self) {
        let Some(format) = self
            .format
            .as_ref()
            .filter(|_| self.checked.keyset.only.is_some())
        else {
            return;
        };
        if !self.search.is_complete {
            let first = self.feed.cursor.first().map_or("", String::as_str);
            self.evidence.record(
                CURSOR_UNPROVEN,
                Some((
                    format!(
                        "whether every value of cursor column {first} is {format} is still being checked"
                    ),
                    "wait until the search has ended; an index over the cursor makes it fast".to_owned(),
                )),
            );
            return;
        }
        self.evidence.record(CURSOR_UNPROVEN, None);
        let count = usize::try_from(self.search.format_mismatches).unwrap_or(usize::MAX);
        let found = self.search.found.clone();
        set_format_mismatches(&mut self.evidence, &self.feed, count, found, &format.to_string());
    }

    async fn check_key(&mut self, permit: &Permit) -> Result<Duration> {
        let (feed, checked, mut proof) = (self.feed.clone(), Arc::clone(&self.checked), self.proof.clone());
        self.proof = self
            .worker
            .run(permit, move |connection, _| {
                key::page(connection, &feed, &checked, &mut proof).map(|()| proof)
            })
            .await?;
        self.show_proof();
        Ok(if self.proof.is_reading() {
            Duration::ZERO
        } else {
            GOOD_FOR
        })
    }

    /// Restarts the key proof if the source is another one.
    pub(super) fn observe_source(&mut self, now: &SourceIdentity) {
        if self.proof.observe_source(now) {
            self.schedule.make_due(Check::Key);
            self.show_proof();
        }
    }

    /// Reports whether the key is proven, and keeps the proof for the next reader.
    pub(super) fn show_proof(&mut self) {
        self.evidence
            .record(KEY_UNPROVEN, self.proof.unproven(&self.feed));
        self.proofs.keep(&self.feed, self.proof.clone());
    }

    async fn check_nulls(&mut self, permit: &Permit) -> Result<()> {
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        self.worker
            .run(permit, move |connection, _| {
                check::no_nulls(connection, &feed, &checked.keyset)
            })
            .await
    }
}
