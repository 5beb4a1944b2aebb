//! Freshness of rows that changed during the demo, from the store's own ledger.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::compare::open_read_only;
use super::data::tables::TABLES;

/// Median and 95th percentile of a duration, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Spread {
    /// The median.
    pub(crate) p50: i64,
    /// The 95th percentile.
    pub(crate) p95: i64,
}

/// The delay from a change in the core to its row in the store, in three parts.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub(crate) struct Freshness {
    /// From the change to its read: the gate, the lag, the idle poll.
    pub(crate) wait_idle_ms: Spread,
    /// From the read to the exchange.
    pub(crate) transit_ms: Spread,
    /// From the exchange to the store: the poller's interval.
    pub(crate) wait_poll_ms: Spread,
}

/// PURE: returns the percentiles of durations.
pub(crate) fn spread(mut spans: Vec<i64>) -> Spread {
    spans.sort_unstable();
    let at = |percent: usize| {
        spans
            .get((spans.len() * percent / 100).min(spans.len().saturating_sub(1)))
            .copied()
    };
    Spread {
        p50: at(50).unwrap_or(0),
        p95: at(95).unwrap_or(0),
    }
}

/// Measures all rows that changed at `since` (Unix milliseconds) or later.
pub(crate) fn measure(store: &Path, since: i64) -> rusqlite::Result<Freshness> {
    let store = open_read_only(store)?;
    let (mut idle, mut transit, mut poll) = (Vec::new(), Vec::new(), Vec::new());
    for table in &TABLES {
        let sql = format!(
            "SELECT r.updt_time, l.read_from, l.exchanged_at, l.stored_at FROM \"{}\" r JOIN slacktide_ledger l \
             ON l.recipient = 'insurer-a' AND l.feed = ?1 AND l.epoch = r._slacktide_epoch AND l.number = r._slacktide_number \
             WHERE r.updt_time >= ?2",
            table.name
        );
        let mut query = store.prepare(&sql)?;
        let mut rows = query.query(rusqlite::params![table.name, since])?;
        while let Some(row) = rows.next()? {
            let changed: i64 = row.get(0)?;
            let times: Option<Vec<i64>> = (1..=3).map(|at| millis(&row.get_ref(at).ok()?)).collect();
            let Some(&[read, exchanged, stored]) = times.as_deref() else {
                continue;
            };
            idle.push((read - changed).max(0));
            transit.push((exchanged - read).max(0));
            poll.push((stored - exchanged).max(0));
        }
    }
    Ok(Freshness {
        wait_idle_ms: spread(idle),
        transit_ms: spread(transit),
        wait_poll_ms: spread(poll),
    })
}

/// Parses a time of the ledger: text with a zone, or Unix microseconds.
fn millis(value: &rusqlite::types::ValueRef<'_>) -> Option<i64> {
    match value {
        rusqlite::types::ValueRef::Text(text) => {
            let at: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
            Some(at.as_millisecond())
        }
        rusqlite::types::ValueRef::Integer(micros) => Some(micros / 1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_uses_the_sorted_durations() {
        assert_eq!(spread((1..=100).rev().collect()), Spread { p50: 51, p95: 96 });
        assert_eq!(spread(vec![7]), Spread { p50: 7, p95: 7 });
        assert_eq!(spread(Vec::new()), Spread::default());
    }
}
