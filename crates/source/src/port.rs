//! The interface of a system of record.
//!
//! Every operation takes a permit: nothing reaches the source without one, not even a catalogue query. When the permit is revoked,
//! the running statement is cancelled and its transaction ends. Rows read until then are kept: they are in cursor order, so a
//! prefix is complete.

use std::time::Duration;

use async_trait::async_trait;
use gate::permit::Permit;
use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::cursor::Cursor;
use schemas::manifest::Reject;
use schemas::source::SourceIdentity;
use schemas::value::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::evidence::Evidence;
use crate::feed::FeedDefinition;
use crate::fence::{ClockProblem, Fence, FenceHolder};
use crate::missing_index::MissingIndex;
use crate::request_query::RequestQuery;

/// A system of record.
#[async_trait]
pub trait Source: Send + Sync {
    /// Checks a feed against the source and opens its reader: the query prepares, the columns exist, the cursor is unique and not
    /// null, the account may read and cannot write, and the fence can be taken.
    ///
    /// # Errors
    /// Each names feed, column, cause and remedy. Kind `Refused` if only a change of configuration or privileges helps.
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> Result<Box<dyn FeedReader>>;

    /// Checks a query and its arguments and opens its reader: the arguments have their declared formats (checked before the source
    /// is used), the query prepares, the columns exist, and the account may read and cannot write.
    ///
    /// # Errors
    /// Those of [`Source::open_feed`], without any argument's value. `Refused` if the source supports no request queries.
    async fn open_request_query(
        &self,
        request_query: &RequestQuery,
        _permit: &Permit,
    ) -> Result<Box<dyn RequestQueryReader>> {
        Err(Error::new(
            ErrorKind::Refused,
            "this source does not support request queries",
            "use a PostgreSQL or SQLite source",
        )
        .at(&request_query.place()))
    }

    /// Returns the process ids of the agent's database backends on this host, so that the gate does not count their work as the
    /// business's.
    fn own_backends(&self) -> Vec<u32>;

    /// Returns the driver's own counts.
    fn driver_counts(&self) -> DriverCounts;

    /// Closes the connections.
    async fn close(&self);
}

/// One open feed of a source.
#[async_trait]
pub trait FeedReader: Send {
    /// Returns the columns of its rows.
    fn schema(&self) -> &RowSchema;

    /// Sets the positions of the lanes before a fence is taken. [`FenceReading`] reports a source whose clock or content is below
    /// one of them.
    fn set_lane_positions(&mut self, _standings: Vec<LanePosition>) {}

    /// Takes the fence in a statement of its own, before and outside the snapshot of the read that follows.
    ///
    /// # Errors
    /// `Refused` if other accounts' transactions are not visible: such a fence would skip rows.
    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading>;

    /// Reads up to `limit` rows after `after` and within the fence, in cursor order, into `rows`. A row is delivered only when the
    /// next row has another cursor or does not exist. So delivered rows may be published in any case.
    ///
    /// Await it to its end: a revoked permit ends it in time, but a dropped future may leave the statement running until its timeout.
    ///
    /// # Errors
    /// `TimedOut` and `Unreachable` may follow delivered rows, which are a complete prefix and remain valid. `Refused` if two rows
    /// share a cursor, or a cursor is null.
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

    /// Whether a key proof is running, which advances by one page with each [`FeedReader::read`].
    fn is_proving(&self) -> bool {
        false
    }

    /// Returns what is not proven of the feed, and rows outside its order, as of the last check. [`FeedReader::read`] runs checks
    /// periodically, when everything within the fence was read.
    fn evidence(&self) -> Option<&Evidence> {
        None
    }

    /// Returns indexes that its order needs and that do not exist.
    fn missing_indexes(&self) -> &[MissingIndex] {
        &[]
    }

    /// Runs the check that is due. Returns whether one was.
    ///
    /// # Errors
    /// `Refused` if the feed cannot continue: two rows share a key, a cursor is null, or cursors have several formats.
    async fn run_next_check(&mut self, _permit: &Permit) -> Result<bool> {
        Ok(false)
    }
}

/// One open query of a source.
#[async_trait]
pub trait RequestQueryReader: Send {
    /// Returns the columns of its rows. There is no key.
    fn schema(&self) -> &RowSchema;

    /// Reads the database's identity, as far as it is known without a feed's tables.
    ///
    /// # Errors
    /// Those of the statements.
    async fn identify(&mut self, _permit: &Permit) -> Result<SourceIdentity> {
        Ok(SourceIdentity::default())
    }

    /// Returns indexes that its arguments need and that do not exist.
    fn missing_indexes(&self) -> &[MissingIndex] {
        &[]
    }

    /// Reads up to `limit` rows after `after`, in the query's order, into `rows`. Delivered rows are a complete prefix of the answer,
    /// as with feeds. Without an order `after` is `None`, and the answer is read in one quantum: [`End::Limit`] means that there are
    /// more rows than the limit.
    ///
    /// Await it to its end, as [`FeedReader::read`].
    ///
    /// # Errors
    /// Those of [`FeedReader::read`], without any argument's value.
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum>;
}

/// Receives rows as they arrive.
pub trait RowSink: Send {
    /// Receives one row, in schema order.
    fn row(&mut self, row: &[Value<'_>]);
    /// Receives a row that cannot be encoded, at its place in the order, with its cursor.
    fn reject(&mut self, cursor: Cursor, reject: Reject);
}

/// The result of a quantum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantum {
    /// Rows and rejects given to the sink.
    pub rows: u64,
    /// Why it ended.
    pub end: End,
    /// Time used on the source.
    pub took: Duration,
}

/// Why a quantum ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There are no more rows within the fence.
    Drained,
    /// The limit was reached; there may be more.
    Limit,
    /// The permit was revoked; there may be more.
    Revoked,
}

/// The position of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePosition {
    /// The position that reading continues from.
    pub position: Cursor,
    /// When the rows before it were read, by the agent's clock.
    pub read_at: Option<Timestamp>,
}

/// The result of taking a fence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FenceReading {
    /// Rows within it may be read now. `None`: no rows yet.
    pub fence: Option<Fence>,
    /// There is no fence because no row is within the source's clock or sequence: nothing has to be waited for.
    pub is_empty: bool,
    /// The transaction that blocks the fence for longer than the margin.
    pub holder: Option<FenceHolder>,
    /// How long it has blocked the fence, or zero.
    pub stalled_for: Duration,
    /// The greatest value changed since the last reading. Its rows follow once the fence has passed them.
    pub has_new_rows: bool,
    /// The database's identity. No row within the fence was committed after it was read.
    pub source: SourceIdentity,
    /// The problem of the source's clock, if there is one.
    pub clock: Option<ClockProblem>,
    /// Positions at which rows may have been missed, each with the one to continue from.
    pub reread_from: Vec<(Cursor, Cursor)>,
    /// Positions above everything in the source.
    pub beyond: Vec<Cursor>,
    /// Positions above the fence, each with one within it: every later row is above that.
    pub above: Vec<(Cursor, Cursor)>,
}

/// What the database driver counted, by a trace hook or in the protocol, independently of the code that uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct DriverCounts {
    /// Statements begun.
    pub statements: u64,
    /// Rows that the driver returned.
    pub rows: u64,
    /// Of these, rows returned while the gate was closed and the yield bound (100 ms after the sample that closed it) had passed.
    /// Must be 0.
    pub rows_while_closed: u64,
    /// Rows returned between the verdict and the end of the yield bound.
    pub rows_while_yielding: u64,
    /// Statements begun while the gate was closed and the yield bound had passed. Must be 0. (One begun at the moment of the verdict
    /// is cancelled at once.)
    pub statements_while_closed: u64,
}
