//! The insurer's requests in the bookkeeping schema.
//!
//! `slacktide.outbox` is the only bookkeeping table that others write. Comments in the database describe its columns.

mod replies;

use async_trait::async_trait;
use jiff::Timestamp;
use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use super::PostgresStore;
use super::session::Session;
use super::table_lock::make_unless;
use crate::bookkeeping::requests::{filing, queries};
use crate::error::Result;
use crate::requests::outbox::{COLUMNS, OutboxRow};
use crate::requests::{
    Filing, FilingOutcome, ReceivedReply, ReplyOutcome, RequestFilter, RequestSummary, Requests,
    UnconfirmedReply, Unpublished, WaitingRequests,
};

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide.outbox (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency text NOT NULL UNIQUE, kind text, arguments text, purpose text, basis text,
    deadline text, filed_by text,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text, request text, reason text);
CREATE INDEX IF NOT EXISTS outbox_not_read ON slacktide.outbox (number) WHERE state IS NULL;
CREATE TABLE IF NOT EXISTS slacktide.requests (
    recipient text NOT NULL, id text NOT NULL, kind text NOT NULL, idempotency text,
    content_digest text NOT NULL, digest text NOT NULL, bytes bytea NOT NULL,
    filed_by text NOT NULL, filed_at timestamptz NOT NULL, deadline timestamptz,
    recorded_at timestamptz NOT NULL, exchanged_at timestamptz, reason text,
    PRIMARY KEY (recipient, id), UNIQUE (recipient, idempotency));
CREATE INDEX IF NOT EXISTS requests_unpublished ON slacktide.requests (recipient, recorded_at)
    WHERE exchanged_at IS NULL AND reason IS NULL;
CREATE TABLE IF NOT EXISTS slacktide.replies (
    recipient text NOT NULL, id text NOT NULL, digest text NOT NULL, bytes bytea NOT NULL,
    outcome text NOT NULL, code text, reason text,
    rows bigint NOT NULL, quarantined bigint NOT NULL, withheld bigint NOT NULL, target text,
    exchanged_at timestamptz NOT NULL, delivered_at timestamptz NOT NULL, stored_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    PRIMARY KEY (recipient, id));
CREATE INDEX IF NOT EXISTS replies_due ON slacktide.replies (recipient, stored_at) WHERE confirmed_at IS NULL;
CREATE TABLE IF NOT EXISTS slacktide.answers (
    recipient text NOT NULL, kind text NOT NULL, columns text NOT NULL, number bigint NOT NULL,
    PRIMARY KEY (recipient, kind));
CREATE TABLE IF NOT EXISTS slacktide.answers_refused (
    recipient text NOT NULL, id text NOT NULL, row_number bigint NOT NULL, reason text NOT NULL, bytes bytea NOT NULL,
    PRIMARY KEY (recipient, id, row_number));
";

const TABLES_EXIST_SQL: &str = "SELECT count(*) = 5 FROM unnest(ARRAY['outbox', 'requests', 'replies', 'answers', 'answers_refused']) \
     name WHERE to_regclass('slacktide.' || name) IS NOT NULL";

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let mut comments = String::new();
    for (column, what) in COLUMNS {
        let what = what.replace('\'', "''");
        comments.push_str(&format!(
            "COMMENT ON COLUMN slacktide.outbox.{column} IS '{what}'; "
        ));
    }
    make_unless(session, TABLES_EXIST_SQL, &format!("{TABLES_SQL} {comments}")).await
}

#[async_trait]
impl Requests for PostgresStore {
    async fn outbox(&self, limit: u32) -> Result<Vec<OutboxRow>> {
        let session = self.pool.take().await?;
        let done = filing::outbox(&*session, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn refuse_row(&self, number: u64, reason: &str) -> Result<()> {
        let session = self.pool.take().await?;
        let done = filing::refuse(&*session, number, reason).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn file(&self, filing: &Filing) -> Result<FilingOutcome> {
        let session = self.pool.take().await?;
        let done = Self::ended(&session, filing::file(&*session, filing).await).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn unpublished(&self, recipient: &RecipientName, limit: u32) -> Result<Vec<Unpublished>> {
        let session = self.pool.take().await?;
        let done = filing::unpublished(&*session, recipient, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn mark_published(&self, recipient: &RecipientName, id: &RequestId, at: Timestamp) -> Result<()> {
        let session = self.pool.take().await?;
        let done = filing::mark_published(&*session, recipient, id, at).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn mark_not_filed(&self, recipient: &RecipientName, id: &RequestId, reason: &str) -> Result<()> {
        let session = self.pool.take().await?;
        let done = filing::mark_not_filed(&*session, recipient, id, reason).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn store_reply(&self, received: &ReceivedReply) -> Result<ReplyOutcome> {
        let mut session = self.pool.take().await?;
        let done = replies::store(&mut session, &self.options, received).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn unconfirmed_replies(
        &self,
        recipient: &RecipientName,
        limit: u32,
    ) -> Result<Vec<UnconfirmedReply>> {
        let session = self.pool.take().await?;
        let done = queries::unconfirmed_replies(&*session, recipient, limit).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn mark_confirmed(
        &self,
        recipient: &RecipientName,
        id: &RequestId,
        reply: &Digest,
        at: Timestamp,
    ) -> Result<()> {
        let session = self.pool.take().await?;
        let done = filing::mark_confirmed(&*session, recipient, id, reply, at).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn unanswered(&self, recipient: &RecipientName, ids: &[RequestId]) -> Result<Vec<RequestId>> {
        let session = self.pool.take().await?;
        let done = queries::unanswered(&*session, recipient, ids).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn list(&self, recipient: &RecipientName, wanted: &RequestFilter) -> Result<Vec<RequestSummary>> {
        let session = self.pool.take().await?;
        let done = queries::list(&*session, recipient, wanted).await;
        self.pool.release(session, &done).await;
        done
    }

    async fn count_waiting(&self, recipient: &RecipientName) -> Result<WaitingRequests> {
        let session = self.pool.take().await?;
        let done = queries::count_waiting(&*session, recipient).await;
        self.pool.release(session, &done).await;
        done
    }
}
