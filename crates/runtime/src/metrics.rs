//! Metrics as Prometheus reads them, written by hand: a name, a help line, labels, a number.
//!
//! Names carry their unit (`_seconds_total`, `_bytes`). Labels are few and bounded: feeds,
//! recipients, kinds of reasons; never a row's value.
//!
//! The `prometheus-client` crate is not used: it writes the OpenMetrics format from a registry of metric objects, adds `_total` to
//! counters, and does not escape help texts. These pages are made from a status at the time of the request, in the text format
//! 0.0.4, with the names of the documented page.

use std::fmt::Write;

/// Writes the text format, version 0.0.4.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    last: String,
}

impl MetricsText {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A number that only grows. Lines of one name belong together.
    pub fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.line("counter", name, help, labels, value);
    }

    /// A number that comes and goes.
    pub fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        self.line("gauge", name, help, labels, value);
    }

    /// How often something took how long: counts within each bound, each count within the next,
    /// with the sum of all and their number.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact")]
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        bounds: &[f64],
        within: &[u64],
        sum: f64,
        count: u64,
    ) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for (bound, within) in bounds.iter().zip(within) {
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{bound}\"}} {within}");
        }
        let _ = writeln!(self.text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(self.text, "{name}_sum {sum}\n{name}_count {}", count as f64);
        name.clone_into(&mut self.last);
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, kind: &str, name: &str, help: &str, labels: &[(&str, &str)], value: f64) {
        if self.last != name {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            // Writing into a string cannot fail.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            name.clone_into(&mut self.last);
        }
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{text}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let value = if value.is_nan() {
            "NaN".to_owned()
        } else if value.is_infinite() {
            if value > 0.0 {
                "+Inf".to_owned()
            } else {
                "-Inf".to_owned()
            }
        } else {
            value.to_string()
        };
        let _ = writeln!(self.text, "{after} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_prometheus_reads() {
        let mut metrics = MetricsText::new();
        metrics.counter(
            "slacktide_rows_total",
            "Rows moved.",
            &[("feed", "a\"b\\c\nd")],
            3.0,
        );
        metrics.counter(
            "slacktide_rows_total",
            "Rows moved.",
            &[("feed", "e"), ("to", "f")],
            4.0,
        );
        metrics.gauge("slacktide_gate_open", "1 while open.", &[], f64::INFINITY);
        assert_eq!(
            metrics.finish(),
            "# HELP slacktide_rows_total Rows moved.\n\
             # TYPE slacktide_rows_total counter\n\
             slacktide_rows_total{feed=\"a\\\"b\\\\c\\nd\"} 3\n\
             slacktide_rows_total{feed=\"e\",to=\"f\"} 4\n\
             # HELP slacktide_gate_open 1 while open.\n\
             # TYPE slacktide_gate_open gauge\n\
             slacktide_gate_open +Inf\n"
        );
    }
}
