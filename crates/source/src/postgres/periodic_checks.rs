//! Checks that prove a feed's order and key, one at a time and only when everything was read.

use std::time::{Duration, Instant};

use gate::permit::Permit;
use schemas::source::SourceIdentity;

use super::check;
use super::key;
use super::order;
use super::reader::PostgresReader;
use crate::check_schedule::{Check, FORMATS, FUTURE, next_interval};
use crate::error::Result;
use crate::evidence::{CURSOR_UNPROVEN, KEY_UNPROVEN, ROWS_BY_ACCOUNT, SEQUENCE_UNREADABLE};
use crate::feed::CursorSetBy;
use crate::key_proof::GOOD_FOR;
use crate::nulls;
use crate::unordered_rows::{set_format_mismatches, set_future_rows};

/// From this step on the fence is not rounded down to wait for rows of one step.
const COARSE: Duration = Duration::from_secs(3_600);

impl PostgresReader {
    /// Runs the check that is due. Returns whether one was.
    pub(super) async fn run_due_check(&mut self, permit: &Permit) -> Result<bool> {
        let Some(check) = self.schedule.next(self.began.elapsed()) else {
            return Ok(false);
        };
        let began = Instant::now();
        let ran = match check {
            Check::Future => self.check_future_rows(permit).await.map(|()| FUTURE),
            Check::Formats => self.check_formats(permit).await.map(|()| FORMATS),
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
        let Some(condition) = self.placement.ahead(self.feed.clock.tolerance) else {
            return Ok(());
        };
        let found = {
            let mut locked = self.session.lock(permit).await?.metered(&self.meter);
            order::keys_where(&mut locked, permit, &self.checked, &condition).await?
        };
        set_future_rows(&mut self.evidence, &self.feed, found, self.placement.bound_by());
        Ok(())
    }

    /// Samples the cursor's values again, and searches for rows outside the order.
    async fn check_formats(&mut self, permit: &Permit) -> Result<()> {
        self.place(permit).await?;
        let found = match self.placement.outside() {
            Some(condition) => {
                let mut locked = self.session.lock(permit).await?.metered(&self.meter);
                order::keys_where(&mut locked, permit, &self.checked, condition).await?
            }
            None => Vec::new(),
        };
        self.evidence.record(CURSOR_UNPROVEN, None);
        self.show_placement();
        let format = self.placement.format.clone();
        set_format_mismatches(&mut self.evidence, &self.feed, found.len(), found, &format);
        Ok(())
    }

    /// Reports what the cursor's sample leaves unproven.
    pub(super) fn show_placement(&mut self) {
        let first = self.feed.cursor.first().map_or("", String::as_str);
        if let Some(error) = &self.placement.unsampled {
            let detail = format!(
                "the values of cursor column {first} were not sampled: {}",
                error.what
            );
            self.evidence
                .record(CURSOR_UNPROVEN, Some((detail, error.remedy.clone())));
        }
        let timed = self.feed.cursor_set_by != CursorSetBy::Application && self.placement.is_an_instant();
        if timed && self.placement.step.is_some_and(|step| step >= COARSE) {
            self.evidence.record(
                CURSOR_UNPROVEN,
                Some((
                    format!("cursor column {first} holds whole hours or days alone, so rows written later within one would be skipped"),
                    "order by a column that holds the full time, or declare cursor_set_by = \"application\" with a lag of more \
                     than its step"
                        .to_owned(),
                )),
            );
        }
        let sequence = self.checked.guard.sequence.as_ref();
        let unreadable = sequence.filter(|sequence| !sequence.is_readable);
        let unreadable = unreadable.map(|sequence| {
            (
                format!(
                    "sequence {} cannot be read, so a row whose {first} was not given by it would move the feed past those that \
                     follow",
                    sequence.name
                ),
                format!("run: GRANT SELECT ON SEQUENCE {} TO the account of the source's url;", sequence.name),
            )
        });
        self.evidence.record(SEQUENCE_UNREADABLE, unreadable);
    }

    /// Reports why the account may not see all rows.
    pub(super) fn show_account(&mut self, account_dependency: Option<(String, String)>) {
        self.evidence.record(ROWS_BY_ACCOUNT, account_dependency);
    }

    async fn check_key(&mut self, permit: &Permit) -> Result<Duration> {
        {
            let mut locked = self.session.lock(permit).await?.metered(&self.meter);
            key::page(&mut locked, permit, &self.feed, &self.checked, &mut self.proof).await?;
        }
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
        let mut locked = self.session.lock(permit).await?.metered(&self.meter);
        check::no_nulls(&mut locked, permit, &self.feed, &self.checked.keyset).await
    }
}
