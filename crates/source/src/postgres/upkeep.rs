//! The checks that prove a feed's order and key, one at a time and only when everything was read.

use std::time::{Duration, Instant};

use gate::permit::Permit;
use schemas::source::SourceMark;

use super::check;
use super::key;
use super::order;
use super::reader::PostgresReader;
use crate::error::Result;
use crate::evidence::{CURSOR_UNPROVEN, KEY_UNPROVEN, ROWS_BY_ACCOUNT, SEQUENCE_UNREADABLE};
use crate::feed::CursorSetBy;
use crate::key_proof::GOOD_FOR;
use crate::nulls;
use crate::unplaced::{show_future, show_misfits};
use crate::upkeep::{Check, FORMS, FUTURE, due_again};

/// A step from which on rows of one step are not waited for by rounding the fence down.
const COARSE: Duration = Duration::from_secs(3_600);

impl PostgresReader {
    /// Runs the check that is due. Returns whether one was.
    pub(super) async fn keep_up(&mut self, permit: &Permit) -> Result<bool> {
        let Some(check) = self.upkeep.next(self.began.elapsed()) else {
            return Ok(false);
        };
        let began = Instant::now();
        let ran = match check {
            Check::Future => self.look_ahead(permit).await.map(|()| FUTURE),
            Check::Forms => self.search(permit).await.map(|()| FORMS),
            Check::Key => self.prove_key(permit).await,
            Check::Nulls => self.look_for_nulls(permit).await.map(|()| nulls::EVERY),
        };
        let Some(every) = due_again(check, ran, &mut self.evidence)? else {
            return Ok(false);
        };
        self.upkeep
            .ran(check, self.began.elapsed(), began.elapsed(), every);
        Ok(true)
    }

    async fn look_ahead(&mut self, permit: &Permit) -> Result<()> {
        let Some(condition) = self.placement.ahead(self.feed.clock.tolerance) else {
            return Ok(());
        };
        let found = {
            let mut turn = self.session.turn(permit).await?.metered(&self.meter);
            order::keys_where(&mut turn, permit, &self.checked, &condition).await?
        };
        show_future(&mut self.evidence, &self.feed, found, self.placement.bound_by());
        Ok(())
    }

    /// Looks at the cursor's values again, and for rows without a place.
    async fn search(&mut self, permit: &Permit) -> Result<()> {
        self.place(permit).await?;
        let found = match self.placement.misfit() {
            Some(condition) => {
                let mut turn = self.session.turn(permit).await?.metered(&self.meter);
                order::keys_where(&mut turn, permit, &self.checked, condition).await?
            }
            None => Vec::new(),
        };
        self.evidence.note(CURSOR_UNPROVEN, None);
        self.show_placement();
        let form = self.placement.form.clone();
        show_misfits(&mut self.evidence, &self.feed, found.len(), found, &form);
        Ok(())
    }

    /// Shows what the look at the cursor leaves open.
    pub(super) fn show_placement(&mut self) {
        let first = self.feed.cursor.first().map_or("", String::as_str);
        if let Some(error) = &self.placement.unsampled {
            let detail = format!(
                "the values of cursor column {first} were not looked at: {}",
                error.what
            );
            self.evidence
                .note(CURSOR_UNPROVEN, Some((detail, error.remedy.clone())));
        }
        let timed = self.feed.cursor_set_by != CursorSetBy::Application && self.placement.is_an_instant();
        if timed && self.placement.step.is_some_and(|step| step >= COARSE) {
            self.evidence.note(
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
        self.evidence.note(SEQUENCE_UNREADABLE, unreadable);
    }

    /// Shows why rows may be missing by who reads.
    pub(super) fn show_account(&mut self, by_account: Option<(String, String)>) {
        self.evidence.note(ROWS_BY_ACCOUNT, by_account);
    }

    async fn prove_key(&mut self, permit: &Permit) -> Result<Duration> {
        {
            let mut turn = self.session.turn(permit).await?.metered(&self.meter);
            key::page(&mut turn, permit, &self.feed, &self.checked, &mut self.proof).await?;
        }
        self.show_proof();
        Ok(if self.proof.is_reading() {
            Duration::ZERO
        } else {
            GOOD_FOR
        })
    }

    /// Begins the proof of the key from the start where the source is another one than it was read from.
    pub(super) fn judge_source(&mut self, now: &SourceMark) {
        if self.proof.judge_source(now) {
            self.upkeep.hasten(Check::Key);
            self.show_proof();
        }
    }

    /// Shows whether the key is proven, and keeps the proof for the next opening.
    pub(super) fn show_proof(&mut self) {
        self.evidence.note(KEY_UNPROVEN, self.proof.unproven(&self.feed));
        self.proofs.keep(&self.feed, self.proof.clone());
    }

    async fn look_for_nulls(&mut self, permit: &Permit) -> Result<()> {
        let mut turn = self.session.turn(permit).await?.metered(&self.meter);
        check::no_nulls(&mut turn, permit, &self.feed, &self.checked.keyset).await
    }
}
