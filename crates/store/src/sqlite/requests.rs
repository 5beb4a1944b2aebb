//! The insurer's requests. Every verb is one transaction that holds the file's lock.
//!
//! `slacktide_outbox` is the one table of ours that others write.

mod filing;
mod found;
mod replies;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Transaction;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::{SqliteStore, failure};
use crate::error::Result;
use crate::record::broken;
use crate::requests::outbox::OutboxRow;
use crate::requests::{
    Answered, Became, Due, Filed, Filing, Listed, Requests, Unpublished, WaitingRequests, Wanted,
};

const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide_outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency TEXT NOT NULL UNIQUE, kind TEXT, arguments TEXT, purpose TEXT, basis TEXT,
    deadline TEXT, filed_by TEXT,
    written_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    state TEXT, request TEXT, reason TEXT);
CREATE INDEX IF NOT EXISTS slacktide_outbox_not_read ON slacktide_outbox (number) WHERE state IS NULL;
CREATE TABLE IF NOT EXISTS slacktide_requests (
    recipient TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, idempotency TEXT,
    wish TEXT NOT NULL, digest TEXT NOT NULL, bytes BLOB NOT NULL,
    filed_by TEXT NOT NULL, filed_at TEXT NOT NULL, deadline TEXT,
    kept_at TEXT NOT NULL, exchanged_at TEXT, reason TEXT,
    PRIMARY KEY (recipient, id), UNIQUE (recipient, idempotency));
CREATE INDEX IF NOT EXISTS slacktide_requests_unpublished ON slacktide_requests (recipient, kept_at)
    WHERE exchanged_at IS NULL AND reason IS NULL;
CREATE TABLE IF NOT EXISTS slacktide_replies (
    recipient TEXT NOT NULL, id TEXT NOT NULL, digest TEXT NOT NULL, bytes BLOB NOT NULL,
    outcome TEXT NOT NULL, code TEXT, reason TEXT,
    rows INTEGER NOT NULL, quarantined INTEGER NOT NULL, withheld INTEGER NOT NULL, target TEXT,
    exchanged_at TEXT NOT NULL, delivered_at TEXT NOT NULL, stored_at TEXT NOT NULL, confirmed_at TEXT,
    PRIMARY KEY (recipient, id));
CREATE INDEX IF NOT EXISTS slacktide_replies_due ON slacktide_replies (recipient, stored_at) WHERE confirmed_at IS NULL;
CREATE TABLE IF NOT EXISTS slacktide_answers (
    recipient TEXT NOT NULL, kind TEXT NOT NULL, columns TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (recipient, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS slacktide_answers_refused (
    recipient TEXT NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL, reason TEXT NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (recipient, id, place));
";

pub(super) fn prepare(tx: &Transaction<'_>) -> Result<()> {
    sql(tx.execute_batch(OWN))
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

/// A time of fixed width: its order is the order of its text.
fn utc(at: Timestamp) -> String {
    format!("{at:.6}")
}

fn time(text: &str) -> Result<Timestamp> {
    text.parse()
        .map_err(|_| broken("slacktide_requests or slacktide_replies"))
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[async_trait]
impl Requests for SqliteStore {
    async fn outbox(&self, most: u32) -> Result<Vec<OutboxRow>> {
        self.run(move |connection| filing::outbox(connection, most)).await
    }

    async fn unfit(&self, number: u64, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.run(move |connection| filing::refuse(connection, number, &reason))
            .await
    }

    async fn file(&self, filing: &Filing) -> Result<Filed> {
        let filing = filing.clone();
        self.run(move |connection| filing::file(connection, &filing))
            .await
    }

    async fn unpublished(&self, recipient: &RecipientName, most: u32) -> Result<Vec<Unpublished>> {
        let recipient = recipient.clone();
        self.run(move |connection| filing::unpublished(connection, &recipient, most))
            .await
    }

    async fn published(&self, recipient: &RecipientName, id: &RequestId, at: Timestamp) -> Result<()> {
        let (recipient, id) = (recipient.clone(), id.clone());
        self.run(move |connection| filing::published(connection, &recipient, &id, at))
            .await
    }

    async fn not_filed(&self, recipient: &RecipientName, id: &RequestId, reason: &str) -> Result<()> {
        let (recipient, id, reason) = (recipient.clone(), id.clone(), reason.to_owned());
        self.run(move |connection| filing::not_filed(connection, &recipient, &id, &reason))
            .await
    }

    async fn store_reply(&self, answered: &Answered) -> Result<Became> {
        let (answered, options) = (answered.clone(), self.options.clone());
        self.run(move |connection| replies::store(connection, &options, &answered))
            .await
    }

    async fn due(&self, recipient: &RecipientName, most: u32) -> Result<Vec<Due>> {
        let recipient = recipient.clone();
        self.run(move |connection| found::due(connection, &recipient, most))
            .await
    }

    async fn confirmed(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        reply: &Digest,
        at: Timestamp,
    ) -> Result<()> {
        let (recipient, id, reply) = (recipient.clone(), id.clone(), *reply);
        self.run(move |connection| filing::confirmed(connection, &recipient, &id, &reply, at))
            .await
    }

    async fn unanswered(&self, recipient: &RecipientName, ids: &[RequestId]) -> Result<Vec<RequestId>> {
        let (recipient, ids) = (recipient.clone(), ids.to_vec());
        self.run(move |connection| found::unanswered(connection, &recipient, ids))
            .await
    }

    async fn listed(&self, recipient: &RecipientName, wanted: &Wanted) -> Result<Vec<Listed>> {
        let (recipient, wanted) = (recipient.clone(), wanted.clone());
        self.run(move |connection| found::listed(connection, &recipient, &wanted))
            .await
    }

    async fn waiting(&self, recipient: &RecipientName) -> Result<WaitingRequests> {
        let recipient = recipient.clone();
        self.run(move |connection| found::waiting(connection, &recipient))
            .await
    }
}
