//! PURE: the gate in the last 24 hours. A bar is five minutes: its height is the share of the time in which the gate was open.
//! The table by hours has the same numbers.

use jiff::{SignedDuration, Timestamp};

use crate::context::Context;
use crate::facts::HistoryBucket;
use crate::format;

/// Bars of a day.
const BARS: i64 = 288;

/// Seconds of a bar.
const STEP: i64 = 300;

/// The width of a bar and the height of the chart, in its own units.
const WIDTH: i64 = 2;
const HEIGHT: i64 = 100;

/// The chart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chart {
    /// Nothing was reported.
    pub(super) is_empty: bool,
    pub(super) bars: Vec<Bar>,
    /// The points of the line of the load; a gap in the evidence is a gap in the line.
    pub(super) load: Vec<Vec<String>>,
    /// The times below the chart, from left to right.
    pub(super) labels: Vec<String>,
    pub(super) hours: Vec<Hour>,
    /// The shares of the day, for the description.
    pub(super) open: String,
    pub(super) limited: String,
    pub(super) closed: String,
    pub(super) unknown: String,
    pub(super) rows: String,
}

/// One bar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: i64,
    pub(super) open_y: i64,
    pub(super) open_height: i64,
    pub(super) limited_y: i64,
    pub(super) limited_height: i64,
    /// The part of the bar's time for which there is evidence: a grey ground.
    pub(super) known_width: String,
}

/// One hour.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) label: String,
    pub(super) open: String,
    pub(super) limited: String,
    pub(super) closed: String,
    pub(super) unknown: String,
    pub(super) rows: String,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    open: u64,
    limited: u64,
    closed: u64,
    rows: u64,
}

impl Sum {
    fn add(&mut self, bucket: &HistoryBucket) {
        self.open += u64::from(bucket.open_ms);
        self.limited += u64::from(bucket.limited_ms);
        self.closed += u64::from(bucket.closed_ms);
        self.rows += bucket.rows;
    }

    fn unknown(&self, whole_ms: u64) -> u64 {
        whole_ms.saturating_sub(self.open + self.limited + self.closed)
    }
}

fn percent(part: u64, whole: u64) -> String {
    format!("{} %", (part * 100 + whole / 2) / whole.max(1))
}

impl Chart {
    /// Makes the chart of a report's history.
    pub(super) fn new(history: &[HistoryBucket], context: &Context) -> Self {
        let end = context.now.as_second().div_euclid(STEP) * STEP + STEP;
        let origin = end - BARS * STEP;
        let mut chart = Self {
            is_empty: history.is_empty(),
            ..Self::default()
        };
        let (mut day, mut hours) = (Sum::default(), [Sum::default(); 24]);
        let mut last_load = None;
        for bucket in history {
            let index = (bucket.start.as_second() - origin).div_euclid(STEP);
            if !(0..BARS).contains(&index) {
                continue;
            }
            day.add(bucket);
            if let Some(hour) = usize::try_from(index / 12)
                .ok()
                .and_then(|hour| hours.get_mut(hour))
            {
                hour.add(bucket);
            }
            chart.bars.push(bar(bucket, index));
            if let Some(load) = bucket.load_permille {
                let y = HEIGHT - i64::from(load.min(1_000)) * HEIGHT / 1_000;
                let is_next = last_load == Some(index - 1);
                if !is_next {
                    chart.load.push(Vec::new());
                }
                if let Some(line) = chart.load.last_mut() {
                    line.push(format!("{},{y}", index * WIDTH + WIDTH / 2));
                }
                last_load = Some(index);
            }
        }
        let whole = u64::try_from(BARS * STEP * 1_000).unwrap_or(1);
        chart.open = percent(day.open, whole);
        chart.limited = percent(day.limited, whole);
        chart.closed = percent(day.closed, whole);
        chart.unknown = percent(day.unknown(whole), whole);
        chart.rows = format::count(day.rows);
        let label = |seconds: i64| {
            let at = Timestamp::UNIX_EPOCH
                .checked_add(SignedDuration::from_secs(seconds))
                .unwrap_or(context.now);
            at.to_zoned(context.display.zone.clone())
                .strftime("%H:%M")
                .to_string()
        };
        chart.labels = (0..=4)
            .map(|part| label(origin + part * BARS * STEP / 4))
            .collect();
        let hour_ms = 3_600_000;
        let hour = |(index, sum): (i64, &Sum)| Hour {
            label: label(origin + index * 3_600),
            open: percent(sum.open, hour_ms),
            limited: percent(sum.limited, hour_ms),
            closed: percent(sum.closed, hour_ms),
            unknown: percent(sum.unknown(hour_ms), hour_ms),
            rows: format::count(sum.rows),
        };
        chart.hours = (0..).zip(&hours).map(hour).collect();
        chart
    }
}

fn bar(bucket: &HistoryBucket, index: i64) -> Bar {
    let height = |ms: u32| (i64::from(ms) * HEIGHT / (STEP * 1_000)).min(HEIGHT);
    let (open, limited) = (height(bucket.open_ms), height(bucket.limited_ms));
    let known = i64::from(bucket.open_ms) + i64::from(bucket.limited_ms) + i64::from(bucket.closed_ms);
    let known_milli = (known * WIDTH / STEP).min(WIDTH * 1_000);
    Bar {
        x: index * WIDTH,
        open_y: HEIGHT - open,
        open_height: open,
        limited_y: (HEIGHT - open - limited).max(0),
        limited_height: limited,
        known_width: format::milli(known_milli),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::context;

    fn bucket(start: &str, times: (u32, u32, u32)) -> HistoryBucket {
        HistoryBucket {
            start: start.parse().unwrap(),
            open_ms: times.0,
            limited_ms: times.1,
            closed_ms: times.2,
            rows: 7,
            load_permille: Some(500),
        }
    }

    #[test]
    fn chart_shows_time_without_evidence_as_unknown() {
        let context = context("2026-01-31T12:02:00Z");
        let buckets = [
            bucket("2026-01-31T12:00:00Z", (60_000, 30_000, 30_000)),
            bucket("2026-01-30T12:05:00Z", (300_000, 0, 0)),
            bucket("2026-01-30T12:00:00Z", (300_000, 0, 0)),
        ];
        let chart = Chart::new(&buckets, &context);
        assert_eq!(chart.bars.len(), 2, "the third is older than a day");
        let last = &chart.bars[0];
        assert_eq!((last.x, last.open_height, last.limited_height), (574, 20, 10));
        assert_eq!(last.known_width, "0.8", "two of five minutes");
        assert_eq!(chart.bars[1].x, 0);
        assert_eq!(chart.load, [["575,50"], ["1,50"]], "no line across a gap");
        assert_eq!(
            (chart.hours[0].open.as_str(), chart.hours[0].unknown.as_str()),
            ("8 %", "92 %")
        );
        assert_eq!(chart.hours[12].unknown, "100 %");
        assert_eq!(chart.rows, "14");
        assert_eq!(chart.labels, ["12:05", "18:05", "00:05", "06:05", "12:05"]);
    }
}
