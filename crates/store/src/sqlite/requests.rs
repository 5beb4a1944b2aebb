//! The insurer's requests. Every operation is one transaction that holds the file's lock.
//!
//! `slacktide_outbox` is the only bookkeeping table that others write.

mod replies;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::sql::now;
use super::{SqliteStore, failure};
use crate::bookkeeping::requests::{filing, queries};
use crate::error::Result;
use crate::requests::outbox::OutboxRow;
use crate::requests::{
    Filing, FilingOutcome, ReceivedReply, ReplyOutcome, RequestFilter, RequestSummary, Requests,
    UnconfirmedReply, Unpublished, WaitingRequests,
};

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide_outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    idempotency TEXT NOT NULL UNIQUE, kind TEXT, arguments TEXT, purpose TEXT, basis TEXT,
    deadline TEXT, filed_by TEXT,
    written_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    state TEXT, request TEXT, reason TEXT);
CREATE INDEX IF NOT EXISTS slacktide_outbox_not_read ON slacktide_outbox (number) WHERE state IS NULL;
CREATE TABLE IF NOT EXISTS slacktide_requests (
    recipient TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, idempotency TEXT,
    content_digest TEXT NOT NULL, digest TEXT NOT NULL, bytes BLOB NOT NULL,
    filed_by TEXT NOT NULL, filed_at TEXT NOT NULL, deadline TEXT,
    recorded_at TEXT NOT NULL, exchanged_at TEXT, reason TEXT,
    PRIMARY KEY (recipient, id), UNIQUE (recipient, idempotency));
CREATE INDEX IF NOT EXISTS slacktide_requests_unpublished ON slacktide_requests (recipient, recorded_at)
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
    recipient TEXT NOT NULL, id TEXT NOT NULL, row_number INTEGER NOT NULL, reason TEXT NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY (recipient, id, row_number));
";

pub(super) fn prepare(tx: &Connection) -> Result<()> {
    sql(tx.execute_batch(TABLES_SQL))
}

fn sql<T>(result: rusqlite::Result<T>) -> Result<T> {
    result.map_err(|error| failure::of(&error))
}

#[async_trait]
impl Requests for SqliteStore {
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        self.run(move |session| now(filing::outbox(session, limit))).await
    }

    async fn refuse_row(&self, number: u64, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.run(move |session| now(filing::refuse(session, number, &reason)))
            .await
    }

    async fn file(&self, filing: &Filing) -> Result<FilingOutcome> {
        let filing = filing.clone();
        self.run(move |session| now(filing::file(session, &filing))).await
    }

    async fn unpublished(&self, recipient: &RecipientName, limit: u32) -> Result<Vec<Unpublished>> {
        let recipient = recipient.clone();
        self.run(move |session| now(filing::unpublished(session, &recipient, limit)))
            .await
    }

    async fn mark_published(&self, recipient: &RecipientName, id: &RequestId, at: Timestamp) -> Result<()> {
        let (recipient, id) = (recipient.clone(), id.clone());
        self.run(move |session| now(filing::mark_published(session, &recipient, &id, at)))
            .await
    }

    async fn mark_not_filed(&self, recipient: &RecipientName, id: &RequestId, reason: &str) -> Result<()> {
        let (recipient, id, reason) = (recipient.clone(), id.clone(), reason.to_owned());
        self.run(move |session| now(filing::mark_not_filed(session, &recipient, &id, &reason)))
            .await
    }

    async fn store_reply(&self, received: &ReceivedReply) -> Result<ReplyOutcome> {
        let (received, options) = (received.clone(), self.options.clone());
        self.run(move |session| replies::store(session, &options, &received))
            .await
    }

    async fn unconfirmed_replies(
        &self,
        recipient: &RecipientName,
        limit: u32,
    ) -> Result<Vec<UnconfirmedReply>> {
        let recipient = recipient.clone();
        self.run(move |session| now(queries::unconfirmed_replies(session, &recipient, limit)))
            .await
    }

    async fn mark_confirmed(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        reply: &Digest,
        at: Timestamp,
    ) -> Result<()> {
        let (recipient, id, reply) = (recipient.clone(), id.clone(), *reply);
        self.run(move |session| now(filing::mark_confirmed(session, &recipient, &id, &reply, at)))
            .await
    }

    async fn unanswered(&self, recipient: &RecipientName, ids: &[RequestId]) -> Result<Vec<RequestId>> {
        let (recipient, ids) = (recipient.clone(), ids.to_vec());
        self.run(move |session| now(queries::unanswered(session, &recipient, &ids)))
            .await
    }

    async fn list(&self, recipient: &RecipientName, wanted: &RequestFilter) -> Result<Vec<RequestSummary>> {
        let (recipient, wanted) = (recipient.clone(), wanted.clone());
        self.run(move |session| now(queries::list(session, &recipient, &wanted)))
            .await
    }

    async fn count_waiting(&self, recipient: &RecipientName) -> Result<WaitingRequests> {
        let recipient = recipient.clone();
        self.run(move |session| now(queries::count_waiting(session, &recipient)))
            .await
    }
}
