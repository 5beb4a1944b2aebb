//! PURE: pgbench's log of transactions, and percentiles over a span of time. A transaction counts
//! in the span in which it was due: the worst of an overloaded span end long after it.
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
}

/// Rates and percentiles of the transactions that were due within the span.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn service(transactions: &[Transaction], from_us: u64, until_us: u64) -> Service {
    let mut latencies: Vec<u64> = transactions
        .iter()
        .filter(|one| (from_us..until_us).contains(&one.ended_us.saturating_sub(one.latency_us)))
        .map(|one| one.latency_us)
        .collect();
    latencies.sort_unstable();
    let at = |thousandths: usize| {
        let place = (latencies.len() * thousandths).div_ceil(1_000).saturating_sub(1);
        latencies.get(place).copied().unwrap_or(0)
    };
    let seconds = until_us.saturating_sub(from_us).max(1) as f64 / 1e6;
    Service {
        rate: latencies.len() as f64 / seconds,
        p50: at(500),
        p95: at(950),
        p99: at(990),
        p999: at(999),
    }
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
        let service = service(&transactions, 0, 999_001);
        assert_eq!(
            (service.p50, service.p95, service.p99, service.p999),
            (500, 950, 990, 999)
        );
        assert!((service.rate - 1_000.0).abs() < 1.0);
    }
}
