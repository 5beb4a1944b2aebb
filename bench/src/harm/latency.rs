//! PURE: pgbench's transaction log, and percentiles over time spans. A transaction counts in the span in which it was
//! due: the slowest ones of an overloaded span end long after it.
//!
//! Two kinds of percentiles are reported. Those of the whole span include every disturbance, such as other guests of
//! the machine; two slots without an extractor differ by half in them. Those of the typical second are the median over
//! the seconds of the percentile of each second. A permanent effect of an extractor is visible in the typical second;
//! an effect on one second in ten is not.
//!
//! A line is `client transaction latency script epoch_s epoch_us [lag]`. Under a fixed rate the latency, in
//! microseconds, counts from the due time, so queueing is included (pgbench's manual, per-transaction logging).

/// A completed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// End time, in Unix microseconds.
    pub(crate) ended_us: u64,
    /// Latency from the due time, in microseconds.
    pub(crate) latency_us: u64,
}

/// Parses one line of the log; `None` if it is not a transaction.
pub(crate) fn line(text: &str) -> Option<Transaction> {
    let mut fields = text.split_ascii_whitespace().skip(2);
    let latency_us = fields.next()?.parse().ok()?;
    let seconds: u64 = fields.nth(1)?.parse().ok()?;
    let micros: u64 = fields.next()?.parse().ok()?;
    Some(Transaction {
        ended_us: seconds * 1_000_000 + micros,
        latency_us,
    })
}

/// The service that the business received in a span.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub(crate) struct Service {
    /// Transactions per second.
    pub(crate) rate: f64,
    /// Latencies in microseconds.
    pub(crate) p50: u64,
    /// The same.
    pub(crate) p95: u64,
    /// The same.
    pub(crate) p99: u64,
    /// The same.
    pub(crate) p999: u64,
    /// Of the typical second.
    pub(crate) second_p50: u64,
    /// The same.
    pub(crate) second_p95: u64,
    /// The same.
    pub(crate) second_p99: u64,
}

const SECOND_US: u64 = 1_000_000;

/// Returns rates and percentiles of the transactions due within the spans.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn service(transactions: &[Transaction], spans: &[(u64, u64)]) -> Service {
    let due = |(from, until): (u64, u64)| {
        let mut latencies: Vec<u64> = transactions
            .iter()
            .filter(|one| (from..until).contains(&one.ended_us.saturating_sub(one.latency_us)))
            .map(|one| one.latency_us)
            .collect();
        latencies.sort_unstable();
        latencies
    };
    let seconds: Vec<Vec<u64>> = spans
        .iter()
        .flat_map(|(from, until)| {
            let whole = until.saturating_sub(*from) / SECOND_US;
            (0..whole).map(move |at| (from + at * SECOND_US, from + (at + 1) * SECOND_US))
        })
        .map(due)
        .collect();
    let typical = |thousandths| {
        let mut each: Vec<u64> = seconds
            .iter()
            .filter(|second| !second.is_empty())
            .map(|second| percentile(second, thousandths))
            .collect();
        each.sort_unstable();
        percentile(&each, 500)
    };
    let mut all: Vec<u64> = spans.iter().flat_map(|span| due(*span)).collect();
    all.sort_unstable();
    let length: u64 = spans
        .iter()
        .map(|(from, until)| until.saturating_sub(*from))
        .sum();
    Service {
        rate: all.len() as f64 * 1e6 / length.max(1) as f64,
        p50: percentile(&all, 500),
        p95: percentile(&all, 950),
        p99: percentile(&all, 990),
        p999: percentile(&all, 999),
        second_p50: typical(500),
        second_p95: typical(950),
        second_p99: typical(990),
    }
}

/// Returns the nearest-rank percentile of sorted values.
fn percentile(sorted: &[u64], thousandths: usize) -> u64 {
    let place = (sorted.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_line_is_parsed_with_and_without_lag() {
        let wanted = Transaction {
            ended_us: 1_700_000_000_000_123,
            latency_us: 812,
        };
        assert_eq!(line("0 17 812 0 1700000000 123 44"), Some(wanted));
        assert_eq!(line("0 17 812 0 1700000000 123"), Some(wanted));
        assert_eq!(line("0 17 skipped 0 1700000000 123"), None);
        assert_eq!(line(""), None);
    }

    #[test]
    fn percentiles_cover_the_span_only() {
        let transactions: Vec<_> = (1..=2_000_u64)
            .map(|at| Transaction {
                ended_us: at * 1_000,
                latency_us: at,
            })
            .collect();
        let service = service(&transactions, &[(0, 999_001)]);
        assert_eq!(
            (service.p50, service.p95, service.p99, service.p999),
            (500, 950, 990, 999)
        );
        assert!((service.rate - 1_000.0).abs() < 1.0);
    }

    #[test]
    fn typical_second_excludes_one_bad_second() {
        let each = |second: u64, latency_us: u64| {
            (0..100_u64).map(move |at| Transaction {
                ended_us: second * SECOND_US + at * 1_000 + latency_us,
                latency_us,
            })
        };
        let transactions: Vec<_> = (0..5)
            .flat_map(|second| each(second, if second == 2 { 50_000 } else { 500 }))
            .collect();
        let spans = [(0, 2 * SECOND_US), (2 * SECOND_US, 5 * SECOND_US)];
        let service = service(&transactions, &spans);
        assert_eq!((service.p99, service.second_p99), (50_000, 500));
        assert!((service.rate - 100.0).abs() < 1e-9);
    }
}
