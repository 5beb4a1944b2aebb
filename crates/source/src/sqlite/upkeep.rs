//! The checks that prove a feed's order and key, one at a time and only when everything was read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gate::permit::Permit;
use jiff::Timestamp;
use schemas::source::SourceMark;

use super::check;
use super::key;
use super::order;
use super::reader::SqliteReader;
use crate::error::Result;
use crate::evidence::{CURSOR_UNPROVEN, KEY_UNPROVEN};
use crate::key_proof::GOOD_FOR;
use crate::nulls;
use crate::unplaced::{show_future, show_misfits};
use crate::upkeep::{Check, FORMS, FUTURE, due_again};

impl SqliteReader {
    /// Runs the check that is due. Returns whether one was.
    pub(super) async fn keep_up(&mut self, permit: &Permit) -> Result<bool> {
        let Some(check) = self.upkeep.next(self.began.elapsed()) else {
            return Ok(false);
        };
        let began = Instant::now();
        let ran = match check {
            Check::Future => self.look_ahead(permit).await.map(|()| FUTURE),
            Check::Forms => self.search(permit).await,
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
        let Some(form) = &self.form else { return Ok(()) };
        let tolerance = self.feed.clock.tolerance;
        let Some(bound) = order::greatest(form, &self.zone, Timestamp::now(), tolerance) else {
            return Ok(());
        };
        let checked = Arc::clone(&self.checked);
        let found = self
            .worker
            .run(permit, move |connection, _| {
                order::above(connection, &checked, &bound)
            })
            .await?;
        show_future(&mut self.evidence, &self.feed, found, "the source's clock");
        Ok(())
    }

    /// Goes on with the search for cursors of another form.
    async fn search(&mut self, permit: &Permit) -> Result<Duration> {
        let Some(form) = self.form.clone().filter(|_| self.checked.keyset.only.is_some()) else {
            return Ok(FORMS);
        };
        let (checked, search) = (Arc::clone(&self.checked), self.search.clone());
        let within = permit.quantum();
        self.search = self
            .worker
            .run(permit, move |connection, ticket| {
                search.go_on(connection, ticket, &checked, within)
            })
            .await?;
        if !self.search.is_over {
            return Ok(Duration::ZERO);
        }
        self.search.judge(&self.feed, &form)?;
        self.show_search();
        // What is written since may change less often, or be of another form.
        self.form = None;
        let again = self.find_form(permit).await;
        if self.form.is_none() {
            self.form = Some(form);
        }
        again.map(|()| FORMS)
    }

    /// Shows what the search found, once it is over; before the first time, how far it is.
    pub(super) fn show_search(&mut self) {
        let Some(form) = self.form.as_ref().filter(|_| self.checked.keyset.only.is_some()) else {
            return;
        };
        if !self.search.is_over {
            let first = self.feed.cursor.first().map_or("", String::as_str);
            self.evidence.note(
                CURSOR_UNPROVEN,
                Some((
                    format!("whether every value of cursor column {first} is {form} is still searched"),
                    "wait until the search is over; an index over the cursor makes it fast".to_owned(),
                )),
            );
            return;
        }
        self.evidence.note(CURSOR_UNPROVEN, None);
        let count = usize::try_from(self.search.misfits).unwrap_or(usize::MAX);
        let found = self.search.found.clone();
        show_misfits(&mut self.evidence, &self.feed, count, found, &form.to_string());
    }

    async fn prove_key(&mut self, permit: &Permit) -> Result<Duration> {
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
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        self.worker
            .run(permit, move |connection, _| {
                check::no_nulls(connection, &feed, &checked.keyset)
            })
            .await
    }
}
