//! The format of a feed's first cursor column: detected in a sample, and searched for exceptions.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::Value as Owned;
use rusqlite::{Connection, params_from_iter};

use schemas::column::ColumnType;
use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::checked_feed::CheckedFeed;
use super::failure;
use super::sender::{named, scalar};
use super::worker::JobToken;
use crate::cursor_format::{CursorFormat, Observed, lag, step};
use crate::error::{Result, refused};
use crate::evidence::MAX_UNORDERED_ROWS;
use crate::feed::FeedDefinition;
use crate::keyset::{Bound, column, subquery};
use crate::unordered_rows::refuse_many_mismatches;

/// Sampled values, in the table's own order and from the greatest down.
const SAMPLE: [(&str, usize); 2] = [("", 300), ("DESC", 100)];

/// Rows per step of the search.
const PIECE: i64 = 20_000;

/// Detects the format of the first cursor column in a sample, or returns `None` if there is no row yet.
///
/// # Errors
/// `Refused` if the values do not fit the column's type, or change less often than the lag.
pub(super) fn detect_format(
    connection: &Connection,
    feed: &FeedDefinition,
    checked: &CheckedFeed,
    now: Timestamp,
) -> Result<Option<CursorFormat>> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let (Some(first), Some(kind)) = (feed.cursor.first(), &checked.first_kind) else {
        return Ok(None);
    };
    let name = column(first);
    let mut sample = Vec::new();
    for (direction, most) in SAMPLE {
        let order = match direction {
            "" => String::new(),
            direction => format!("ORDER BY {name} {direction} "),
        };
        let sql = format!(
            "SELECT {name} FROM {} WHERE {name} IS NOT NULL {order}LIMIT {most}",
            subquery(&feed.sql)
        );
        let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
        let mut rows = statement.query([]).map_err(fail)?;
        while let Some(row) = rows.next().map_err(fail)? {
            // The search finds values that are neither integers nor texts.
            sample.extend(scalar(row.get_ref(0).map_err(fail)?).ok());
        }
    }
    if sample.is_empty() {
        return Ok(None);
    }
    let is_expected = |value: &Scalar| match (kind, value) {
        (ColumnType::Any, _) => true,
        (ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8, value) => matches!(value, Scalar::Int(_)),
        (_, value) => matches!(value, Scalar::Text(_)),
    };
    let expected: Vec<Scalar> = sample.into_iter().filter(is_expected).collect();
    let Some(found) = CursorFormat::most_frequent(&expected, now, true) else {
        return Err(refused(
            format!("cursor column {first} holds no value of its type, but integers or texts of another"),
            format!(
                "name its true type, for example types = {{ {first} = \"int8\" }} or \"text\", or cast it in the sql"
            ),
        ));
    };
    let found = found.declared(feed);
    lag::exceeds(feed, step(&found, &Observed::from_sample(&found, &expected)))?;
    Ok(Some(found))
}

/// Returns the greatest value at the clock plus `ahead`.
pub(super) fn greatest(
    format: &CursorFormat,
    zone: &TimeZone,
    now: Timestamp,
    ahead: Duration,
) -> Option<Scalar> {
    let at = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let offset = jiff::SignedDuration::from_secs(i64::from(zone.to_offset(at).seconds()));
    format.greatest(at, at.checked_add(offset).unwrap_or(Timestamp::MAX))
}

/// Returns the zone of times without a zone.
pub(super) fn zone(feed: &FeedDefinition) -> Result<TimeZone> {
    let Some(name) = &feed.clock.zone else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        refused(
            format!("cursor_zone {name:?} is not a known time zone"),
            "write a name such as \"Asia/Shanghai\", and install the system's time zone data",
        )
    })
}

/// A search through all rows for cursors of another format, in steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    after: Option<Vec<Owned>>,
    pub(super) rows: u64,
    pub(super) format_mismatches: u64,
    pub(super) found: Vec<Reject>,
    pub(super) is_complete: bool,
}

impl Search {
    /// Continues the search for about `within`.
    pub(super) fn advance(
        mut self,
        connection: &Connection,
        token: &JobToken,
        checked: &CheckedFeed,
        within: Duration,
    ) -> Result<Self> {
        let fail = |error: rusqlite::Error| failure::classify(&error);
        if self.is_complete {
            self = Self::default();
        }
        let began = Instant::now();
        let only = checked.keyset.only.clone().unwrap_or_else(|| "true".to_owned());
        let cursor = checked.keyset.cursor.iter().map(|one| column(&one.name));
        let mut asked = checked.keyset.clone();
        asked.select = cursor.clone().collect();
        asked.select.push(format!("({only}) IS TRUE"));
        asked
            .select
            .extend(checked.schema.key.iter().map(|name| column(name)));
        asked.only = cursor.take(1).map(|first| format!("{first} IS NOT NULL")).next();
        let width = checked.keyset.cursor.len();
        let mut statement = connection
            .prepare_cached(&asked.read(self.after.is_some(), Bound::None))
            .map_err(fail)?;
        let mut values = self.after.clone().unwrap_or_default();
        values.push(Owned::Integer(PIECE));
        let mut rows = statement.query(params_from_iter(values)).map_err(fail)?;
        let (mut read, mut stops) = (0, false);
        while let Some(row) = rows.next().map_err(fail)? {
            read += 1;
            self.rows += 1;
            if !row.get::<_, bool>(width).map_err(fail)? {
                self.format_mismatches += 1;
                if self.found.len() <= MAX_UNORDERED_ROWS {
                    let keys = (width + 1)..(width + 1 + checked.schema.key.len());
                    let key = keys.map(|place| named(row.get_ref(place).ok()?)).collect();
                    self.found.push(note(key));
                }
            }
            stops |= read % 256 == 0 && (token.is_revoked() || began.elapsed() >= within);
            if stops || read >= PIECE - 256 {
                let at = (0..width).map(|place| row.get::<_, Owned>(place));
                // Reading cannot continue after invalid text, but after the next row it can.
                if let Ok(at) = at.collect::<rusqlite::Result<_>>() {
                    self.after = Some(at);
                    return Ok(self);
                }
            }
        }
        // A step of only invalid texts has no position to continue from, so the rest is not searched.
        self.is_complete = true;
        self.after = None;
        Ok(self)
    }
}

impl Search {
    /// Refuses a feed most of whose rows have another format.
    pub(super) fn evaluate(&self, feed: &FeedDefinition, format: &CursorFormat) -> Result<()> {
        let many = refuse_many_mismatches(feed, self.format_mismatches, self.rows, &format.to_string());
        many.map_or(Ok(()), Err)
    }
}

/// Creates a reject without a reason.
fn note(key: Vec<Option<Scalar>>) -> Reject {
    Reject {
        key,
        column: None,
        reason: String::new(),
    }
}

/// Returns the keys of rows above a value, at most one more than are listed.
pub(super) fn above(connection: &Connection, checked: &CheckedFeed, bound: &Scalar) -> Result<Vec<Reject>> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let Some(first) = checked.keyset.cursor.first() else {
        return Ok(Vec::new());
    };
    let keys: Vec<String> = checked.schema.key.iter().map(|name| column(name)).collect();
    let only = checked.keyset.only.as_ref().map(|only| format!(" AND {only}"));
    let sql = format!(
        "SELECT {} FROM {} WHERE {} > ?1{} LIMIT {}",
        keys.join(", "),
        subquery(&checked.keyset.sql),
        column(&first.name),
        only.unwrap_or_default(),
        MAX_UNORDERED_ROWS + 1
    );
    let bound = match bound {
        Scalar::Int(number) => Owned::Integer(*number),
        Scalar::Text(text) => Owned::Text(text.clone()),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(fail)?;
    let mut rows = statement.query([bound]).map_err(fail)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        let key = (0..keys.len()).map(|place| named(row.get_ref(place).ok()?));
        found.push(note(key.collect()));
    }
    Ok(found)
}
