//! The counts of spans as metrics.

use runtime::metrics::MetricsText;

use crate::export::counts;

/// Writes the counts of this process.
#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; counts below 2^53 are exact"
)]
pub fn write(text: &mut MetricsText) {
    let counts = counts();
    let help = "Spans of traces that the collector took; 0 while traces are off.";
    text.counter(
        "slacktide_trace_spans_exported_total",
        help,
        &[],
        counts.exported as f64,
    );
    let help = "Spans of traces that were dropped: the queue was full, or the collector did not take them.";
    text.counter(
        "slacktide_trace_spans_dropped_total",
        help,
        &[],
        counts.dropped as f64,
    );
}
