//! The form of a feed's first cursor column: found in a sample, kept as a condition, searched for what does not fit.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::types::Value as Owned;
use rusqlite::{Connection, params_from_iter};

use schemas::column::ColumnType;
use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::check::Checked;
use super::failure;
use super::sender::{named, scalar};
use super::worker::Ticket;
use crate::cursor_form::{CursorForm, Observed, lag, step};
use crate::error::{Result, refused};
use crate::evidence::MOST_UNPLACED;
use crate::feed::FeedDefinition;
use crate::keyset::{Bound, column, subquery};
use crate::unplaced::too_many_misfits;

/// Values that are looked at, in the table's own order and from the greatest down.
const SAMPLE: [(&str, usize); 2] = [("", 300), ("DESC", 100)];

/// Rows that are looked at in one go.
const PIECE: i64 = 20_000;

/// The form of the first cursor column by a sample of it; none where there is no row yet.
///
/// # Errors
/// `Refused` where the values are not what the column's type says, or change less often than the lag.
pub(super) fn form(
    connection: &Connection,
    feed: &FeedDefinition,
    checked: &Checked,
    now: Timestamp,
) -> Result<Option<CursorForm>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
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
            // What is neither an integer nor a text is found by the search.
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
    let Some(found) = CursorForm::of_most(&expected, now, true) else {
        return Err(refused(
            format!("cursor column {first} holds no value of its type, but integers or texts of another"),
            format!(
                "name its true type, for example types = {{ {first} = \"int8\" }} or \"text\", or cast it in the sql"
            ),
        ));
    };
    let found = found.declared(feed);
    lag::exceeds(feed, step(&found, &Observed::of(&found, &expected)))?;
    Ok(Some(found))
}

/// The greatest value by the clock, some time ahead of it.
pub(super) fn greatest(
    form: &CursorForm,
    zone: &TimeZone,
    now: Timestamp,
    ahead: Duration,
) -> Option<Scalar> {
    let at = now.checked_add(ahead).unwrap_or(Timestamp::MAX);
    let offset = jiff::SignedDuration::from_secs(i64::from(zone.to_offset(at).seconds()));
    form.greatest(at, at.checked_add(offset).unwrap_or(Timestamp::MAX))
}

/// The zone in which times without a zone are written.
pub(super) fn zone(feed: &FeedDefinition) -> Result<TimeZone> {
    let Some(name) = &feed.clock.zone else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| {
        refused(
            format!("cursor_zone {name:?} is not a time zone that is known here"),
            "write a name such as \"Asia/Shanghai\", and install the system's time zone data",
        )
    })
}

/// A search through all rows for those whose cursor has another form, piece by piece.
#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    after: Option<Vec<Owned>>,
    pub(super) rows: u64,
    pub(super) misfits: u64,
    pub(super) found: Vec<Reject>,
    pub(super) is_over: bool,
}

impl Search {
    /// Goes on for about so long.
    pub(super) fn go_on(
        mut self,
        connection: &Connection,
        ticket: &Ticket,
        checked: &Checked,
        within: Duration,
    ) -> Result<Self> {
        let fail = |error: rusqlite::Error| failure::of(&error);
        if self.is_over {
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
                self.misfits += 1;
                if self.found.len() <= MOST_UNPLACED {
                    let keys = (width + 1)..(width + 1 + checked.schema.key.len());
                    let key = keys.map(|place| named(row.get_ref(place).ok()?)).collect();
                    self.found.push(note(key));
                }
            }
            stops |= read % 256 == 0 && (ticket.is_revoked() || began.elapsed() >= within);
            if stops || read >= PIECE - 256 {
                let at = (0..width).map(|place| row.get::<_, Owned>(place));
                // A text that is no text is no place to go on from; the next row is.
                if let Ok(at) = at.collect::<rusqlite::Result<_>>() {
                    self.after = Some(at);
                    return Ok(self);
                }
            }
        }
        // A piece of texts that are no texts has no place to go on from: the rest is not searched.
        self.is_over = true;
        self.after = None;
        Ok(self)
    }
}

impl Search {
    /// Refuses a feed most of whose rows have another form.
    pub(super) fn judge(&self, feed: &FeedDefinition, form: &CursorForm) -> Result<()> {
        let many = too_many_misfits(feed, self.misfits, self.rows, &form.to_string());
        many.map_or(Ok(()), Err)
    }
}

/// A note that lacks its reason.
fn note(key: Vec<Option<Scalar>>) -> Reject {
    Reject {
        key,
        column: None,
        reason: String::new(),
    }
}

/// The keys of rows above a value, one more than are told at most.
pub(super) fn above(connection: &Connection, checked: &Checked, bound: &Scalar) -> Result<Vec<Reject>> {
    let fail = |error: rusqlite::Error| failure::of(&error);
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
        MOST_UNPLACED + 1
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
