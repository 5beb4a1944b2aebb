//! The verbs of a system of record.
//!
//! Every verb takes a permit: nothing reaches the source without one, not even a look at its
//! catalogue. When the permit is revoked the statement in flight is cancelled, the transaction
//! ends, and what was read up to there is kept: rows come in cursor order, so a prefix is whole.

use std::time::Duration;

use async_trait::async_trait;
use gate::permit::Permit;
use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::manifest::Reject;
use schemas::source::SourceMark;
use schemas::value::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Evidence;
use crate::feed::FeedDefinition;
use crate::fence::{ClockTrouble, Fence};
use crate::missing_index::MissingIndex;
use crate::question::Question;

/// A system of record.
#[async_trait]
pub trait Source: Send + Sync {
    /// Checks a feed against the source and readies its reader: the query prepares, the columns
    /// exist, the cursor is unique and not null, the account may read and cannot write, the
    /// fence can be taken.
    ///
    /// # Errors
    /// Each with feed, column, what is wrong and what to do; kind `Refused` where only a change
    /// of configuration or privileges helps.
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> Result<Box<dyn FeedReader>>;

    /// Readies a question with its arguments: they have their declared forms (looked at before the source is
    /// touched), the query prepares, the columns exist, the account may read and cannot write.
    ///
    /// # Errors
    /// As those of [`Source::open_feed`]; none holds an argument's value. A source that takes no questions
    /// refuses.
    async fn open_question(&self, question: &Question, _permit: &Permit) -> Result<Box<dyn QuestionReader>> {
        Err(Error::new(
            ErrorKind::Refused,
            "this source takes no questions",
            "ask one that does",
        )
        .at(&question.place()))
    }

    /// The process ids at the source that work for us now (database backends on this host), so
    /// that the gate does not take our own work for the business's.
    fn own_backends(&self) -> Vec<u32>;

    /// What the database driver itself counted.
    fn counted(&self) -> DriverCount;

    /// Ends connections.
    async fn close(&self);
}

/// One feed of a source, ready to be read.
#[async_trait]
pub trait FeedReader: Send {
    /// The columns of its rows.
    fn schema(&self) -> &RowSchema;

    /// Notes where lanes stand, before a fence is taken: a source whose clock or content is below one of them is
    /// told of by [`FenceReading`].
    fn stands_at(&mut self, _standings: Vec<Standing>) {}

    /// Takes the fence: in a statement of its own, before and outside the snapshot of the read
    /// that follows.
    ///
    /// # Errors
    /// `Refused` where transactions of others cannot be seen: a blind fence would skip rows.
    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading>;

    /// Reads up to `limit` rows behind `after` and within the fence, in cursor order, into `rows`.
    /// A row is handed on only when the row behind it was seen and has another cursor, or when
    /// there is none behind it: what was handed on may be published, whatever happened next.
    ///
    /// Drive it to its end: a revoked permit ends it in time, but a future that is dropped may
    /// leave the statement to its timeout.
    ///
    /// # Errors
    /// `TimedOut` and `Unreachable` may come after rows were handed on; these are a whole prefix
    /// and stay good. `Refused` when two rows share a cursor, or a cursor is null.
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum>;

    /// Returns how long this reader has used the source, without the time that it waited for other readers.
    fn spent(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a proof is under way that goes on page by page, one with each [`FeedReader::read`].
    fn is_proving(&self) -> bool {
        false
    }

    /// What is not proven of the feed, and rows without a place in its order, as of the last look. [`FeedReader::read`] looks now
    /// and then, when everything within the fence was read.
    fn evidence(&self) -> Option<&Evidence> {
        None
    }

    /// Indexes that would serve its order, and are not there.
    fn missing_indexes(&self) -> &[MissingIndex] {
        &[]
    }

    /// Looks at once at what is due of that. Returns whether something was.
    ///
    /// # Errors
    /// `Refused` where the feed cannot go on: a key that two rows share, a cursor that is null or of several forms.
    async fn examine(&mut self, _permit: &Permit) -> Result<bool> {
        Ok(false)
    }
}

/// One question of a source, ready to be read.
#[async_trait]
pub trait QuestionReader: Send {
    /// The columns of its rows. There is no key.
    fn schema(&self) -> &RowSchema;

    /// Indexes that would serve what it is asked by, and are not there.
    fn missing_indexes(&self) -> &[MissingIndex] {
        &[]
    }

    /// Reads up to `limit` rows behind `after`, in the question's order, into `rows`; what was handed on is a
    /// whole prefix of the answer, as with feeds. Where there is no order `after` is none, and all of the
    /// answer is read in one quantum: [`End::Limit`] says that there is more than the limit.
    ///
    /// Drive it to its end, as [`FeedReader::read`].
    ///
    /// # Errors
    /// As those of [`FeedReader::read`]; none holds an argument's value.
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum>;
}

/// Takes rows as they come off the wire.
pub trait RowSink: Send {
    /// One row, in schema order.
    fn row(&mut self, row: &[Value<'_>]);
    /// A row that cannot be carried, in its place in the order, with its cursor.
    fn reject(&mut self, cursor: Cursor, reject: Reject);
}

/// What a quantum came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantum {
    /// Rows and rejects given to the sink.
    pub rows: u64,
    /// Why it ended.
    pub end: End,
    /// Time on the source.
    pub took: Duration,
}

/// Why a quantum ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There is nothing more within the fence.
    Drained,
    /// The limit was reached; there may be more.
    Limit,
    /// The permit was revoked; there may be more.
    Revoked,
}

/// Where lanes stand that are read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The position that is read on from.
    pub position: Cursor,
    /// When the rows before it were read, by the agent's clock.
    pub read_at: Option<Timestamp>,
}

/// What a look at the fence came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FenceReading {
    /// Rows within it may be read now; none: nothing yet.
    pub fence: Option<Fence>,
    /// There is no fence because no row has a place within the source's clock or sequence: nothing has to be waited for.
    pub is_empty: bool,
    /// Who keeps it from moving, when someone does for longer than the margin.
    pub held: Option<Holder>,
    /// How long it has not moved because of that; zero while nobody keeps it.
    pub held_for: Duration,
    /// The greatest value is another one than at the last look: its rows follow once the fence has passed them.
    pub has_news: bool,
    /// The database, as far as it tells: no row within the fence was committed after this was true.
    pub source: SourceMark,
    /// What is wrong with the source's clock.
    pub clock: Option<ClockTrouble>,
    /// Positions at which rows may have been missed, each with the one to read on from.
    pub again: Vec<(Cursor, Cursor)>,
    /// Positions beyond everything that the source holds.
    pub beyond: Vec<Cursor>,
}

/// Who holds the fence. A visible state with an alarm; it never lapses by itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Holder {
    /// `transaction` or `prepared transaction`.
    pub what: String,
    /// The database role.
    pub role: String,
    /// Its application name, or the prepared transaction's name.
    pub application: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the database driver itself counted, by a trace hook or at the protocol, whatever the
/// code above it believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct DriverCount {
    /// Statements begun.
    pub statements: u64,
    /// Rows that the driver handed out.
    pub rows: u64,
    /// Of these, rows handed out while the gate was shut and the yield bound (100 ms after the
    /// shutting sample) was over. Must be 0.
    pub rows_while_shut: u64,
    /// Rows handed out between the verdict and the end of the yield.
    pub rows_while_yielding: u64,
    /// Of these, statements begun while the gate was shut and the yield bound was over. Must
    /// be 0. (One begun at the very instant of the shut is cancelled at once.)
    pub statements_while_shut: u64,
}
