//! The first cursor column against the source's clock: its form, its step, and which rows have no place in the order.

use std::time::Duration;

use gate::permit::Permit;
use jiff::Timestamp;
use tokio_postgres::types::Type;

use schemas::cursor::Scalar;
use schemas::manifest::Reject;

use super::cell::{self, Wire};
use super::check::Checked;
use super::sequence::Sequence;
use super::session::Turn;
use crate::cursor_form::{CursorForm, Observed, epoch_clock_sql, lag, step};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::MOST_UNPLACED;
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{column, literal, subquery};
use crate::unplaced::too_many_misfits;

/// Values that are looked at: in the table's own order, and from the greatest down.
const SAMPLE: [(&str, usize); 2] = [("", 300), ("DESC", 100)];

/// Times that are looked at, from the clock down.
const TIMES: usize = 200;

/// A sample of fewer rows is taken again at the next look.
const FEW: usize = 5;

/// What bounds the first cursor column.
#[derive(Debug, Clone)]
enum Clock {
    TimestampTz,
    Timestamp,
    Date,
    /// A form of integers or texts; the greatest number of the column's type.
    Form(CursorForm, Option<i64>),
    /// The last number that a sequence gave, which is the greatest that its column can hold.
    Sequence(String),
    Nothing,
}

/// Where the rows of a feed have their places.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    name: String,
    zone: String,
    clock: Clock,
    /// The condition of rows with a place.
    pub(super) only: Option<String>,
    /// The condition of rows without one.
    misfit: Option<String>,
    /// What the cursor's values are, for people.
    pub(super) form: String,
    /// How far apart two values are at least.
    pub(super) step: Option<Duration>,
    sampled: usize,
    /// Why no sample was taken.
    pub(super) unsampled: Option<Error>,
}

impl Placement {
    /// Looks at the first cursor column.
    ///
    /// # Errors
    /// `Refused` where its values change less often than the lag, or have several forms.
    pub(super) async fn of(
        turn: &mut Turn<'_>,
        permit: &Permit,
        feed: &FeedDefinition,
        (kind, modifier): (&Type, i32),
        sequence: Option<&Sequence>,
    ) -> Result<Self> {
        let zone = match &feed.clock.zone {
            Some(zone) => zone.clone(),
            None => turn.live()?.zone.clone(),
        };
        let mut placement = Self {
            name: column(feed.cursor.first().map_or("", String::as_str)),
            zone,
            clock: Clock::Nothing,
            only: None,
            misfit: None,
            form: "a value of its type".to_owned(),
            step: None,
            sampled: usize::MAX,
            unsampled: None,
        };
        let looked = placement.look(turn, permit, feed, (kind, modifier), sequence);
        match looked.await {
            Err(error) if error.kind == ErrorKind::TimedOut => placement.unsampled = Some(error),
            other => other?,
        }
        lag::exceeds(feed, placement.step)?;
        Ok(placement)
    }

    async fn look(
        &mut self,
        turn: &mut Turn<'_>,
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
                    .find_form(turn, permit, feed, Some(i64::from(i16::MAX)))
                    .await;
            }
            Type::INT4 => {
                return self
                    .find_form(turn, permit, feed, Some(i64::from(i32::MAX)))
                    .await;
            }
            Type::INT8 => return self.find_form(turn, permit, feed, Some(i64::MAX)).await,
            Type::NUMERIC => {
                // Neither NaN nor an infinity is a position.
                self.only = Some(format!("{name} - {name} = 0"));
                self.misfit = Some(format!("{name} - {name} <> 0"));
                "a finite number".clone_into(&mut self.form);
                return self.find_form(turn, permit, feed, None).await;
            }
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => {
                return self.find_form(turn, permit, feed, None).await;
            }
            _ => return Ok(()),
        };
        // Whatever is written later stands behind it.
        self.only = Some(format!("{name} > '-infinity'"));
        self.misfit = Some(format!("{name} = '-infinity'"));
        "a finite time".clone_into(&mut self.form);
        if matches!(self.clock, Clock::Date) {
            self.step = Some(Duration::from_secs(86_400));
            return Ok(());
        }
        self.find_step(turn, permit, feed, modifier).await
    }

    /// The step of a column of times, by its type and by its newest values.
    async fn find_step(
        &mut self,
        turn: &mut Turn<'_>,
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
        let rows = turn.query(permit, &sql, &[]).await?;
        let times = rows.iter().filter_map(|row| row.try_get::<_, i64>(0).ok());
        self.step = Some(declared.max(Observed::of_micros(times).span()));
        self.sampled = rows.len();
        Ok(())
    }

    /// The form of a column of integers, decimals or texts, by a sample.
    async fn find_form(
        &mut self,
        turn: &mut Turn<'_>,
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
            for row in &turn.query(permit, &sql, &[]).await? {
                let (Some(text), Ok(micros)) = (cell::value(row, 0, Wire::Text), row.try_get::<_, i64>(1))
                else {
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
        let Some(found) = CursorForm::of_most(&sample, now, false) else {
            return Ok(());
        };
        let form = found.clone().declared(feed);
        if !is_number {
            let same = |value: &&Scalar| CursorForm::of(value, now, false) == found;
            let misfits = sample.len() - sample.iter().filter(same).count();
            let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.only = form.postgres_text(&self.name);
            let is_open = self.only.is_none();
            if let Some(error) =
                too_many_misfits(feed, count(misfits), count(sample.len()), &form.to_string())
                    .filter(|_| !is_open)
            {
                return Err(error);
            }
            self.misfit = self.only.as_ref().map(|only| format!("NOT ({only})"));
            self.form = form.to_string();
        }
        // A decimal may keep a fraction of its unit.
        if most.is_some() || !is_number {
            self.step = step(&form, &Observed::of(&form, &sample));
        }
        self.clock = Clock::Form(form, most);
        Ok(())
    }

    /// Whether the column holds an instant, whose fence can be rounded.
    pub(super) fn is_an_instant(&self) -> bool {
        matches!(self.clock, Clock::TimestampTz | Clock::Timestamp)
    }

    /// Whether so few rows were seen that the look is worth repeating.
    pub(super) fn is_tentative(&self) -> bool {
        self.sampled < FEW
    }

    /// The greatest value by the source's clock, some time ahead of it, as an expression.
    pub(super) fn greatest(&self, ahead: Duration) -> Option<String> {
        let now = epoch_clock_sql(ahead);
        let local = format!("({now} AT TIME ZONE {})", literal(&self.zone));
        match &self.clock {
            Clock::TimestampTz => Some(now),
            Clock::Timestamp => Some(local),
            Clock::Date => Some(format!("{local}::date")),
            Clock::Form(form, most) => form.greatest_sql(&self.zone, ahead, *most),
            Clock::Sequence(name) => Some(format!("(SELECT last_value FROM {name})")),
            Clock::Nothing => None,
        }
    }

    /// The same, or a position above it, where the clock may be behind; a number that was given out stays given out.
    pub(super) fn greatest_or(&self, position: i64) -> Option<String> {
        let bound = self.greatest(Duration::ZERO)?;
        Some(match self.clock {
            Clock::Sequence(_) => bound,
            _ => format!("GREATEST({bound}, {position})"),
        })
    }

    /// What rows above the greatest value are ahead of.
    pub(super) fn bound_by(&self) -> &'static str {
        match self.clock {
            Clock::Sequence(_) => "the sequence that fills the column",
            Clock::Form(CursorForm::Integer, _) => "every number that can follow",
            _ => "the source's clock",
        }
    }

    /// The condition of rows ahead of the clock by more than the tolerance.
    pub(super) fn ahead(&self, tolerance: Duration) -> Option<String> {
        let bound = self.greatest(tolerance)?;
        let only = self
            .only
            .as_ref()
            .map(|only| format!(" AND {only}"))
            .unwrap_or_default();
        Some(format!("{} > {bound}{only}", self.name))
    }

    /// The condition of rows without a place in the order.
    pub(super) fn misfit(&self) -> Option<&str> {
        self.misfit.as_deref()
    }
}

/// The keys of rows that meet a condition, one more than are told at most.
pub(super) async fn keys_where(
    turn: &mut Turn<'_>,
    permit: &Permit,
    checked: &Checked,
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
        MOST_UNPLACED + 1
    );
    let rows = turn.query(permit, &sql, &[]).await?;
    let note = |row: &tokio_postgres::Row| {
        let key = places.iter().enumerate().map(|(at, place)| {
            let wire = checked.wires.get(*place).copied().unwrap_or(Wire::Text);
            Scalar::of_key(cell::value(row, at, wire)?)
        });
        Reject {
            key: key.collect(),
            column: None,
            reason: String::new(),
        }
    };
    Ok(rows.iter().map(note).collect())
}
