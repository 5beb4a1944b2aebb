//! The quantum.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gate::permit::Permit;
use rusqlite::types::{ToSqlOutput, Value as Bound_, ValueRef};
use rusqlite::{Connection, Row, ToSql};
use tokio::sync::mpsc;

use schemas::column::RowSchema;
use schemas::cursor::{Cursor, Scalar};
use schemas::manifest::Reject;
use schemas::rows::{RowReader, pack};
use schemas::value::Value;

use super::check::{self, Checked};
use super::convert::{self, Form};
use super::failure;
use super::worker::{Ticket, Worker, ended};
use crate::error::{Error, ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::fence::{Fence, HighWater};
use crate::keyset::Bound;
use crate::port::{End, FeedReader, FenceReading, Quantum, RowSink};

/// How often a drained feed is searched for rows without a cursor.
const NULLS_EVERY: Duration = Duration::from_secs(60);

/// Rows cross from the thread in pieces of about this size.
const PIECE: usize = 64 * 1024;

/// One feed.
pub(super) struct SqliteReader {
    worker: Arc<Worker>,
    feed: FeedDefinition,
    checked: Arc<Checked>,
    water: HighWater,
    began: Instant,
    nulls_looked: Instant,
}

/// Rows on their way from the thread, in order.
enum Piece {
    Rows(Vec<u8>, u64),
    Reject(Cursor, Reject),
}

impl SqliteReader {
    pub(super) fn new(worker: Arc<Worker>, feed: &FeedDefinition, checked: Checked) -> Self {
        let now = Instant::now();
        let water = HighWater::by_lag(feed.lag);
        Self {
            worker,
            feed: feed.clone(),
            checked: Arc::new(checked),
            water,
            began: now,
            nulls_looked: now,
        }
    }

    async fn quantum(
        &self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<End> {
        if permit.is_revoked() {
            return Err(Error::revoked());
        }
        let (bound, upper) = match fence {
            Fence::Below(value) => (Bound::Below, Some(value)),
            Fence::UpTo(value) => (Bound::UpTo, Some(value)),
            Fence::Open => (Bound::None, None),
        };
        let mut values: Vec<Scalar> = after.iter().flat_map(|after| after.0.iter().cloned()).collect();
        if after.is_some_and(|after| after.0.len() != self.checked.cursor.len()) {
            return Err(Error::new(
                ErrorKind::Refused,
                "the cursor to go on from has another number of columns than the feed's",
                "open a new epoch with `slacktide feed rewind`",
            ));
        }
        values.extend(upper.cloned());
        values.push(Scalar::Int(
            i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1),
        ));
        let sql = self.checked.keyset.read(after.is_some(), bound);
        let checked = Arc::clone(&self.checked);
        let (pieces, mut incoming) = mpsc::channel(4);
        let mut running = self.worker.begin(move |connection, ticket| {
            Sender {
                checked: &checked,
                pieces,
                packed: Vec::new(),
                count: 0,
            }
            .send_all(connection, ticket, &sql, &values, limit)
        });
        let mut revoked = pin!(permit.revoked());
        let mut cancelled = false;
        loop {
            let piece = tokio::select! {
                biased;
                piece = incoming.recv() => piece,
                () = &mut revoked, if !cancelled => {
                    running.cancel();
                    cancelled = true;
                    continue;
                }
            };
            match piece {
                Some(Piece::Rows(bytes, count)) => self.hand_on(&bytes, count, rows)?,
                Some(Piece::Reject(cursor, reject)) => rows.reject(cursor, reject),
                None => break,
            }
        }
        ended((&mut running.done).await)
    }

    fn hand_on(&self, bytes: &[u8], count: u64, rows: &mut dyn RowSink) -> Result<()> {
        let mut reader = RowReader::new(bytes, self.checked.schema.columns.len(), count);
        let mut row = Vec::new();
        let odd = |_| {
            Error::new(
                ErrorKind::Database,
                "rows were garbled inside the agent",
                "report this",
            )
        };
        while reader.next_into(&mut row).map_err(odd)? {
            rows.row(&row);
        }
        Ok(())
    }

    async fn look_for_nulls(&mut self, permit: &Permit) -> Result<()> {
        if self.checked.never_null || self.nulls_looked.elapsed() < NULLS_EVERY {
            return Ok(());
        }
        self.nulls_looked = Instant::now();
        let (feed, checked) = (self.feed.clone(), Arc::clone(&self.checked));
        self.worker
            .run(permit, move |connection, _| {
                check::no_nulls(connection, &feed, &checked.keyset)
            })
            .await
    }
}

#[async_trait]
impl FeedReader for SqliteReader {
    fn schema(&self) -> &RowSchema {
        &self.checked.schema
    }

    async fn fence(&mut self, permit: &Permit) -> Result<FenceReading> {
        let sql = self.checked.keyset.highest();
        let now = self.began.elapsed();
        let looked = self
            .worker
            .run(permit, move |connection, _| highest(connection, &sql))
            .await;
        let high = looked.map_err(|error| error.at(&format!("feed {}", self.feed.name)))?;
        Ok(FenceReading {
            fence: self.water.take(high, now, &[]).map(Fence::UpTo),
            held: None,
        })
    }

    async fn read(
        &mut self,
        after: Option<&Cursor>,
        fence: &Fence,
        limit: usize,
        permit: &Permit,
        rows: &mut dyn RowSink,
    ) -> Result<Quantum> {
        let began = Instant::now();
        let place = format!("feed {}", self.feed.name);
        let mut counted = Counted { rows, count: 0 };
        let end = match self
            .quantum(after, fence, limit.max(1), permit, &mut counted)
            .await
        {
            Err(error) if error.kind == ErrorKind::Revoked => End::Revoked,
            other => other.map_err(|error| error.at(&place))?,
        };
        let count = counted.count;
        if end == End::Drained {
            match self.look_for_nulls(permit).await {
                Err(error) if error.kind == ErrorKind::Refused => return Err(error.at(&place)),
                _ => {}
            }
        }
        Ok(Quantum {
            rows: count,
            end,
            took: began.elapsed(),
        })
    }
}

struct Counted<'a> {
    rows: &'a mut dyn RowSink,
    count: u64,
}

impl RowSink for Counted<'_> {
    fn row(&mut self, row: &[Value<'_>]) {
        self.count += 1;
        self.rows.row(row);
    }

    fn reject(&mut self, cursor: Cursor, reject: Reject) {
        self.count += 1;
        self.rows.reject(cursor, reject);
    }
}

fn highest(connection: &Connection, sql: &str) -> Result<Option<Scalar>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    let mut statement = connection.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let Some(row) = rows.next().map_err(fail)? else {
        return Ok(None);
    };
    scalar(row.get_ref(0).map_err(fail)?).map(Some)
}

fn scalar(value: ValueRef<'_>) -> Result<Scalar> {
    match value {
        ValueRef::Integer(number) => Ok(Scalar::Int(number)),
        ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => {
            Ok(Scalar::Text(String::from_utf8_lossy(bytes).into_owned()))
        }
        other => Err(Error::new(
            ErrorKind::Refused,
            format!("a row's cursor holds a value of type {}", other.data_type()),
            "use cursor columns that hold only integers or text and are NOT NULL",
        )),
    }
}

/// A cursor's value as a parameter.
struct Parameter<'a>(&'a Scalar);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Scalar::Int(number) => ToSqlOutput::Owned(Bound_::Integer(*number)),
            Scalar::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

/// On the thread: takes rows off the statement and sends them in pieces. The latest row is held
/// back until the next was seen.
struct Sender<'a> {
    checked: &'a Checked,
    pieces: mpsc::Sender<Piece>,
    packed: Vec<u8>,
    count: u64,
}

/// The latest row, ready to be sent.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    reject: Option<(Cursor, Reject)>,
    cursor: Vec<u8>,
    filled: bool,
}

impl Sender<'_> {
    fn send_all(
        mut self,
        connection: &Connection,
        ticket: &Ticket,
        sql: &str,
        values: &[Scalar],
        limit: usize,
    ) -> Result<End> {
        let fail = |error: rusqlite::Error| failure::of(&error);
        let mut statement = connection.prepare_cached(sql).map_err(fail)?;
        let parameters = rusqlite::params_from_iter(values.iter().map(Parameter));
        let mut rows = statement.query(parameters).map_err(fail)?;
        let mut scratch = vec![String::new(); self.checked.schema.columns.len()];
        let (mut held, mut next) = (Held::default(), Held::default());
        let mut seen = 0_usize;
        let outcome = loop {
            if ticket.is_revoked() {
                break Ok(End::Revoked);
            }
            match rows.next().map_err(fail) {
                Ok(Some(row)) => {
                    seen += 1;
                    if let Err(error) = self.ready(row, &mut scratch, &mut next) {
                        break Err(error);
                    }
                    if held.filled && held.cursor == next.cursor {
                        break Err(self.repeated());
                    }
                    if !self.push(&mut held) {
                        break Ok(End::Revoked);
                    }
                    std::mem::swap(&mut held, &mut next);
                }
                // The last row shows only that there is more.
                Ok(None) if seen > limit => break Ok(End::Limit),
                Ok(None) => {
                    self.push(&mut held);
                    break Ok(End::Drained);
                }
                Err(error) => break Err(error),
            }
        };
        // The statement ends before anybody waits for the receiver.
        drop(rows);
        drop(statement);
        self.flush();
        outcome
    }

    fn ready(&self, row: &Row<'_>, scratch: &mut [String], held: &mut Held) -> Result<()> {
        let fail = |error: rusqlite::Error| failure::of(&error);
        held.cursor.clear();
        for place in &self.checked.cursor {
            let value = scalar(row.get_ref(*place).map_err(fail)?)?;
            let value = match &value {
                Scalar::Int(number) => Value::Int(*number),
                Scalar::Text(text) => Value::Text(text),
            };
            pack(&[value], &mut held.cursor).map_err(|_| unpackable())?;
        }
        held.filled = true;
        held.bytes.clear();
        held.reject = None;
        let columns = &self.checked.schema.columns;
        let mut forms = Vec::with_capacity(columns.len());
        for (place, (column, scratch)) in columns.iter().zip(scratch.iter_mut()).enumerate() {
            match convert::form(&column.kind, row.get_ref(place).map_err(fail)?, scratch) {
                Ok(form) => forms.push(form),
                Err(reason) => {
                    held.reject = Some(self.reject(row, &column.name, reason)?);
                    return Ok(());
                }
            }
        }
        let mut values = Vec::with_capacity(columns.len());
        for (place, ((column, form), scratch)) in columns.iter().zip(&forms).zip(&*scratch).enumerate() {
            values.push(match form {
                Form::Scratch => Value::Text(scratch),
                Form::Direct => convert::direct(&column.kind, row.get_ref(place).map_err(fail)?),
            });
        }
        pack(&values, &mut held.bytes).map_err(|_| unpackable())
    }

    fn reject(&self, row: &Row<'_>, column: &str, reason: &str) -> Result<(Cursor, Reject)> {
        let at = |place: usize| {
            row.get_ref(place)
                .map_err(|error| failure::of(&error))
                .and_then(scalar)
        };
        let cursor = self
            .checked
            .cursor
            .iter()
            .map(|place| at(*place))
            .collect::<Result<_>>()?;
        let schema = &self.checked.schema;
        let key = schema
            .key
            .iter()
            .map(|name| schema.index_of(name).and_then(|place| at(place).ok()))
            .collect();
        Ok((
            Cursor(cursor),
            Reject {
                key,
                column: Some(column.to_owned()),
                reason: reason.to_owned(),
            },
        ))
    }

    fn repeated(&self) -> Error {
        let names: Vec<&str> = self
            .checked
            .keyset
            .cursor
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        Error::new(
            ErrorKind::Refused,
            format!("cursor ({}) is not unique: two rows share one", names.join(", ")),
            "end the cursor with a column that is unique",
        )
    }

    /// Sends the row held back; false when nobody takes it any more.
    fn push(&mut self, held: &mut Held) -> bool {
        if !held.filled {
            return true;
        }
        held.filled = false;
        if let Some((cursor, reject)) = held.reject.take() {
            return self.flush() && self.pieces.blocking_send(Piece::Reject(cursor, reject)).is_ok();
        }
        self.packed.extend_from_slice(&held.bytes);
        self.count += 1;
        self.packed.len() < PIECE || self.flush()
    }

    fn flush(&mut self) -> bool {
        if self.count == 0 {
            return true;
        }
        let piece = Piece::Rows(std::mem::take(&mut self.packed), std::mem::take(&mut self.count));
        self.pieces.blocking_send(piece).is_ok()
    }
}

fn unpackable() -> Error {
    Error::new(
        ErrorKind::Database,
        "a row is too long to be carried",
        "leave its long columns out of the feed's sql",
    )
}
