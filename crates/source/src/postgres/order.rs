//! The first cursor column and the source's clock: its format, its step, and rows outside its order.

use std::time::Duration;

use gate::permit::Permit;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::cell::{self, Wire};
use super::checked_feed::CheckedFeed;
use super::sequence::Sequence;
use super::session::SessionGuard;
use crate::cursor_format::{CursorFormat, Observed, epoch_clock_sql, lag, step};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::MAX_UNORDERED_ROWS;
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{column, literal, subquery};
use crate::unordered_rows::refuse_many_mismatches;

/// Sampled values: in the table's own order, and from the greatest down.
const SAMPLE: [(&str, usize); 2] = [("", 300), ("DESC", 100)];

/// Sampled times, from the clock down.
const TIMES: usize = 200;

/// A smaller sample is taken again later.
const FEW: usize = 5;

/// The upper bound of the first cursor column.
#[derive(Debug, Clone)]
enum Clock {
    TimestampTz,
    Timestamp,
    Date,
    /// A format of integers or texts, with the greatest number of the column's type.
    Format(CursorFormat, Option<i64>),
    /// The sequence's last number, which is the greatest that its column can hold.
    Sequence(String),
    Nothing,
}

/// Which rows of a feed are in its order.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    name: String,
    zone: String,
    clock: Clock,
    /// The condition of rows in the order.
    pub(super) only: Option<String>,
    /// The condition of rows outside it.
    outside: Option<String>,
    /// The format of the cursor's values, for messages.
    pub(super) format: String,
    /// The smallest distance of two values.
    pub(super) step: Option<Duration>,
    sampled: usize,
    /// Why no sample was taken.
    pub(super) unsampled: Option<Error>,
}

impl Placement {
    /// Samples the first cursor column.
    ///
    /// # Errors
    /// `Refused` if its values change less often than the lag, or have several formats.
    pub(super) async fn sample(
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        feed: &FeedDefinition,
        (kind, modifier): (&Type, i32),
        sequence: Option<&Sequence>,
    ) -> Result<Self> {
        let zone = match &feed.clock.zone {
            Some(zone) => zone.clone(),
            None => locked.connection()?.zone.clone(),
        };
        let mut placement = Self {
            name: column(feed.cursor.first().map_or("", String::as_str)),
            zone,
            clock: Clock::Nothing,
            only: None,
            outside: None,
            format: "a value of its type".to_owned(),
            step: None,
            sampled: usize::MAX,
            unsampled: None,
        };
        let result = placement.sample_values(locked, permit, feed, (kind, modifier), sequence);
        match result.await {
            Err(error) if error.kind == ErrorKind::TimedOut => placement.unsampled = Some(error),
            other => other?,
        }
        lag::exceeds(feed, placement.step)?;
        Ok(placement)
    }

    async fn sample_values(
        &mut self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        feed: &FeedDefinition,
        (kind, modifier): (&Type, i32),
        sequence: Option<&Sequence>,
    ) -> Result<()> {
        let name = self.name.clone();
        self.clock = match *kind {
            Type::TIMESTAMPTZ => Clock::TimestampTz,
            Type::TIMESTAMP => Clock::Timestamp,
            Type::DATE => Clock::Date,
            _ if feed.cursor_set_by == CursorSetBy::Sequence => {
                let sequence = sequence.filter(|sequence| sequence.is_readable);
                self.clock = sequence.map_or(Clock::Nothing, |one| Clock::Sequence(one.name.clone()));
                return Ok(());
            }
            Type::INT2 => {
                return self
                    .find_format(locked, permit, feed, Some(i64::from(i16::MAX)))
                    .await;
            }
            Type::INT4 => {
                return self
                    .find_format(locked, permit, feed, Some(i64::from(i32::MAX)))
                    .await;
            }
            Type::INT8 => return self.find_format(locked, permit, feed, Some(i64::MAX)).await,
            Type::NUMERIC => {
                // NaN and infinities are not positions.
                self.only = Some(format!("{name} - {name} = 0"));
                self.outside = Some(format!("{name} - {name} <> 0"));
                "a finite number".clone_into(&mut self.format);
                return self.find_format(locked, permit, feed, None).await;
            }
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => {
                return self.find_format(locked, permit, feed, None).await;
            }
            _ => return Ok(()),
        };
        // Later rows sort after infinity.
        self.only = Some(format!("{name} > '-infinity'"));
        self.outside = Some(format!("{name} = '-infinity'"));
        "a finite time".clone_into(&mut self.format);
        if matches!(self.clock, Clock::Date) {
            self.step = Some(Duration::from_secs(86_400));
            return Ok(());
        }
        self.find_step(locked, permit, feed, modifier).await
    }

    /// Returns the step of a column of times, by its type and its newest values.
    async fn find_step(
        &mut self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        feed: &FeedDefinition,
        modifier: i32,
    ) -> Result<()> {
        let digits = u32::try_from(modifier).unwrap_or(6).min(6);
        let declared = Duration::from_micros(10_u64.pow(6 - digits));
        self.step = Some(declared);
        let now = self.greatest(Duration::ZERO).unwrap_or_default();
        let name = &self.name;
        let sql = format!(
            "SELECT (extract(epoch FROM {name}) * 1000000)::int8 FROM {} WHERE {name} > '-infinity' AND {name} <= {now} \
             ORDER BY {name} DESC LIMIT {TIMES}",
            subquery(&feed.sql),
        );
        let rows = locked.query(permit, &sql, &[]).await?;
        let times = rows.iter().filter_map(|row| row.try_get::<_, i64>(0).ok());
        self.step = Some(declared.max(Observed::from_micros(times).span()));
        self.sampled = rows.len();
        Ok(())
    }

    /// Detects the format of a column of integers, decimals or texts from a sample.
    async fn find_format(
        &mut self,
        locked: &mut SessionGuard<'_>,
        permit: &Permit,
        feed: &FeedDefinition,
        most: Option<i64>,
    ) -> Result<()> {
        let is_number = most.is_some() || self.only.is_some();
        let (mut sample, mut now) = (Vec::new(), Timestamp::UNIX_EPOCH);
        for (direction, limit) in SAMPLE {
            let name = &self.name;
            let order = if direction.is_empty() {
                String::new()
            } else {
                format!("ORDER BY {name} {direction} ")
            };
            let clock = "(extract(epoch FROM pg_catalog.statement_timestamp()) * 1000000)::int8";
            let sql = format!(
                "SELECT {name}::text, {clock} FROM {} WHERE {name} IS NOT NULL {order}LIMIT {limit}",
                subquery(&feed.sql)
            );
            for row in &locked.query(permit, &sql, &[]).await? {
                let mut made = String::new();
                let (Some(text), Ok(micros)) = (
                    cell::value(row, 0, Wire::Text, &mut made),
                    row.try_get::<_, i64>(1),
                ) else {
                    continue;
                };
                now = Timestamp::from_microsecond(micros).unwrap_or(now);
                if let Ok(Scalar::Text(text)) = Scalar::from_value(text) {
                    let whole = text.split('.').next().unwrap_or_default().parse();
                    match (is_number, whole) {
                        (true, Ok(number)) => sample.push(Scalar::Int(number)),
                        (true, Err(_)) => {}
                        (false, _) => sample.push(Scalar::Text(text)),
                    }
                }
            }
        }
        self.sampled = sample.len();
        let Some(found) = CursorFormat::most_frequent(&sample, now, false) else {
            return Ok(());
        };
        let format = found.clone().declared(feed);
        if !is_number {
            let same = |value: &&Scalar| CursorFormat::detect(value, now, false) == found;
            let format_mismatches = sample.len() - sample.iter().filter(same).count();
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.only = format.postgres_text(&self.name);
            let is_open = self.only.is_none();
            if let Some(error) = refuse_many_mismatches(
                feed,
                count(format_mismatches),
                count(sample.len()),
                &format.to_string(),
            )
            .filter(|_| !is_open)
            {
                return Err(error);
            }
            self.outside = self.only.as_ref().map(|only| format!("NOT ({only})"));
            self.format = format.to_string();
        }
        // A decimal may hold a fraction of its unit.
        if most.is_some() || !is_number {
            self.step = step(&format, &Observed::from_sample(&format, &sample));
        }
        self.clock = Clock::Format(format, most);
        Ok(())
    }

    /// Whether the column holds instants, to which a fence can be rounded.
    pub(super) fn is_an_instant(&self) -> bool {
        matches!(self.clock, Clock::TimestampTz | Clock::Timestamp)
    }

    /// Whether the sample was too small to be final.
    pub(super) fn is_tentative(&self) -> bool {
        self.sampled < FEW
    }

    /// Returns the greatest value at the source's clock plus `ahead`, as an expression.
    pub(super) fn greatest(&self, ahead: Duration) -> Option<String> {
        let now = epoch_clock_sql(ahead);
        let local = format!("({now} AT TIME ZONE {})", literal(&self.zone));
        match &self.clock {
            Clock::TimestampTz => Some(now),
            Clock::Timestamp => Some(local),
            Clock::Date => Some(format!("{local}::date")),
            Clock::Format(format, most) => format.greatest_sql(&self.zone, ahead, *most),
            Clock::Sequence(name) => Some(format!("(SELECT last_value FROM {name})")),
            Clock::Nothing => None,
        }
    }

    /// Returns the same value, or a position above it, because the clock may be behind. A sequence's last number is not raised.
    pub(super) fn greatest_or(&self, position: i64) -> Option<String> {
        let bound = self.greatest(Duration::ZERO)?;
        Some(match self.clock {
            Clock::Sequence(_) => bound,
            _ => format!("GREATEST({bound}, {position})"),
        })
    }

    /// Describes what rows above the greatest value are ahead of.
    pub(super) fn bound_by(&self) -> &'static str {
        match self.clock {
            Clock::Sequence(_) => "the sequence that fills the column",
            Clock::Format(CursorFormat::Integer, _) => "every number that can follow",
            _ => "the source's clock",
        }
    }

    /// Returns the condition of rows ahead of the clock by more than the tolerance.
    pub(super) fn ahead(&self, tolerance: Duration) -> Option<String> {
        let bound = self.greatest(tolerance)?;
        let only = self
            .only
            .as_ref()
            .map(|only| format!(" AND {only}"))
            .unwrap_or_default();
        Some(format!("{} > {bound}{only}", self.name))
    }

    /// Returns the condition of rows outside the order.
    pub(super) fn outside(&self) -> Option<&str> {
        self.outside.as_deref()
    }
}

/// Returns the keys of rows that meet a condition, at most one more than are listed.
pub(super) async fn keys_where(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    checked: &CheckedFeed,
    condition: &str,
) -> Result<Vec<Reject>> {
    let places: Vec<usize> = checked.schema.key_indices().unwrap_or_default();
    let select: Vec<&str> = places
        .iter()
        .filter_map(|place| checked.keyset.select.get(*place).map(String::as_str))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {condition} LIMIT {}",
        select.join(", "),
        subquery(&checked.keyset.sql),
        MAX_UNORDERED_ROWS + 1
    );
    let rows = locked.query(permit, &sql, &[]).await?;
    let note = |row: &tokio_postgres::Row| {
        let key = places.iter().enumerate().map(|(at, place)| {
            let wire = checked.wires.get(*place).copied().unwrap_or(Wire::Text);
            let mut text = String::new();
            Scalar::from_key_value(cell::value(row, at, wire, &mut text)?)
        });
        Reject {
            key: key.collect(),
            column: None,
            reason: String::new(),
        }
    };
    Ok(rows.iter().map(note).collect())
}
