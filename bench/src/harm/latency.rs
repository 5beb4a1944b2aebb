//! PURE: pgbench's log of transactions, and percentiles over spans of time. A transaction counts
//! in the span in which it was due: the worst of an overloaded span end long after it.
//!
//! Percentiles are told twice. Of the whole span: everything counts, also what another guest of
//! the machine did to one of its seconds; two slots with nobody in them differ by half in that. And of the
//! typical second: the percentile of each second, and of those the one in the middle. What an extractor does all
//! the time is in every second and so in the typical one; what strikes one second in ten is not.
//!
//! A line is `client transaction latency script epoch_s epoch_us [lag]`; under a fixed rate the
//! latency, in microseconds, counts from the time that the transaction was due, so waiting in
//! line is part of it (pgbench's manual, per-transaction logging).

/// A transaction that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// When, in microseconds of Unix time.
    pub(crate) ended_us: u64,
    /// From when it was due, in microseconds.
    pub(crate) latency_us: u64,
}

/// One line of the log; none for what is no transaction.
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

/// What the business got in a span.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub(crate) struct Service {
    /// Transactions a second.
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

/// Rates and percentiles of the transactions that were due within the spans.
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
            .map(|second| at(second, thousandths))
            .collect();
        each.sort_unstable();
        at(&each, 500)
    };
    let mut all: Vec<u64> = spans.iter().flat_map(|span| due(*span)).collect();
    all.sort_unstable();
    let length: u64 = spans
        .iter()
        .map(|(from, until)| until.saturating_sub(*from))
        .sum();
    Service {
        rate: all.len() as f64 * 1e6 / length.max(1) as f64,
        p50: at(&all, 500),
        p95: at(&all, 950),
        p99: at(&all, 990),
        p999: at(&all, 999),
        second_p50: typical(500),
        second_p95: typical(950),
        second_p99: typical(990),
    }
}

/// The nearest-rank percentile of sorted values.
fn at(sorted: &[u64], thousandths: usize) -> u64 {
    let place = (sorted.len() * thousandths).div_ceil(1_000).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_lag() {
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
    fn percentiles_are_of_the_span_alone() {
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
    fn one_bad_second_is_in_the_span_and_not_in_the_typical_second() {
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
