//! The measurements of the gateway, and their text for Prometheus.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;
use runtime::metrics::MetricsText;
use schemas::name::PartyName;

/// The bounds of the durations, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The label of a request that has no route.
pub(crate) const NO_ROUTE: &str = "none";

/// All measurements; they count since the process started.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<Series, u64>>,
    durations: Mutex<Durations>,
    in_flight: AtomicU64,
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    connections: AtomicU64,
    connections_total: AtomicU64,
    handshake_failures: AtomicU64,
    refused_authentications: AtomicU64,
    tls_files_failing: AtomicBool,
    by_party: BTreeMap<PartyName, OfParty>,
}

/// The labels of a counter of requests: route template, method, status.
type Series = (String, &'static str, u16);

#[derive(Debug, Default)]
struct Durations {
    /// The requests within each bound.
    within: [u64; BOUNDS.len()],
    sum: f64,
    count: u64,
}

#[derive(Debug, Default)]
struct OfParty {
    rate_limited: AtomicU64,
    is_connected: AtomicBool,
}

/// Lowers a gauge when it is dropped, so that a request or connection that is cancelled is counted, too.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a AtomicU64);

impl<'a> Held<'a> {
    fn new(gauge: &'a AtomicU64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(parties: Vec<PartyName>) -> Self {
        Self {
            requests: Mutex::default(),
            durations: Mutex::default(),
            in_flight: AtomicU64::default(),
            received_bytes: AtomicU64::default(),
            sent_bytes: AtomicU64::default(),
            connections: AtomicU64::default(),
            connections_total: AtomicU64::default(),
            handshake_failures: AtomicU64::default(),
            refused_authentications: AtomicU64::default(),
            tls_files_failing: AtomicBool::default(),
            by_party: parties
                .into_iter()
                .map(|party| (party, OfParty::default()))
                .collect(),
        }
    }

    /// Counts a request in flight.
    pub(crate) fn in_flight(&self) -> Held<'_> {
        Held::new(&self.in_flight)
    }

    /// Counts an open connection.
    pub(crate) fn connection(&self) -> Held<'_> {
        self.connections_total.fetch_add(1, Ordering::Relaxed);
        Held::new(&self.connections)
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, route: &str, method: &Method, status: u16, duration: Duration) {
        let series = (route.to_owned(), method_label(method), status);
        *self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(series)
            .or_default() += 1;
        let seconds = duration.as_secs_f64();
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        for (within, bound) in durations.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= bound);
        }
        durations.sum += seconds;
        durations.count += 1;
    }

    /// Counts bytes of a request's body.
    pub(crate) fn received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes of a response's body.
    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a failed TLS handshake.
    pub(crate) fn handshake_failed(&self) {
        self.handshake_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request without a valid credential.
    pub(crate) fn refused_authentication(&self) {
        self.refused_authentications.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that exceeds the party's rate.
    pub(crate) fn rate_limited(&self, party: &PartyName) {
        if let Some(of_party) = self.by_party.get(party) {
            of_party.rate_limited.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records whether the changed files of TLS could not be read.
    pub(crate) fn tls_files_failing(&self, is_failing: bool) {
        self.tls_files_failing.store(is_failing, Ordering::Relaxed);
    }

    /// Records whether the exchange answers with the party's credential.
    pub(crate) fn connected(&self, party: &PartyName, is_connected: bool) {
        if let Some(of_party) = self.by_party.get(party) {
            of_party.is_connected.store(is_connected, Ordering::Relaxed);
        }
    }

    /// Returns the parties for which the exchange does not answer.
    pub(crate) fn disconnected(&self) -> Vec<&PartyName> {
        let mut parties = Vec::new();
        for (party, of_party) in &self.by_party {
            if !of_party.is_connected.load(Ordering::Relaxed) {
                parties.push(party);
            }
        }
        parties
    }

    /// Returns the number of open connections and of requests in flight.
    pub(crate) fn open(&self) -> (u64, u64) {
        let load = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        (load(&self.connections), load(&self.in_flight))
    }

    /// Renders the text.
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53 are exact")]
    pub(crate) fn render(&self) -> String {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        let mut text = MetricsText::new();
        let name = "slacktide_gateway_requests_total";
        for ((route, method, status), count) in self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            let status = status.to_string();
            let labels = [
                ("route", route.as_str()),
                ("method", *method),
                ("status", status.as_str()),
            ];
            text.counter(name, "Requests that were answered.", &labels, *count as f64);
        }
        {
            let durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
            text.histogram(
                "slacktide_gateway_request_seconds",
                "From the headers of a request to those of its response.",
                &BOUNDS,
                &durations.within,
                durations.sum,
                durations.count,
            );
        }
        text.gauge(
            "slacktide_gateway_requests_in_flight",
            "Requests without a response.",
            &[],
            load(&self.in_flight),
        );
        text.counter(
            "slacktide_gateway_received_bytes_total",
            "Bytes of the bodies of requests.",
            &[],
            load(&self.received_bytes),
        );
        text.counter(
            "slacktide_gateway_sent_bytes_total",
            "Bytes of the bodies of responses.",
            &[],
            load(&self.sent_bytes),
        );
        text.gauge(
            "slacktide_gateway_connections",
            "Open connections.",
            &[],
            load(&self.connections),
        );
        text.counter(
            "slacktide_gateway_connections_total",
            "Accepted connections.",
            &[],
            load(&self.connections_total),
        );
        text.counter(
            "slacktide_gateway_tls_handshake_failures_total",
            "TLS handshakes that failed or timed out.",
            &[],
            load(&self.handshake_failures),
        );
        text.gauge(
            "slacktide_gateway_tls_files_failing",
            "1 while the changed files of TLS cannot be used and the previous ones are in force.",
            &[],
            f64::from(u8::from(self.tls_files_failing.load(Ordering::Relaxed))),
        );
        text.counter(
            "slacktide_gateway_refused_authentications_total",
            "Requests without a valid credential.",
            &[],
            load(&self.refused_authentications),
        );
        for (party, of_party) in &self.by_party {
            let name = "slacktide_gateway_rate_limited_total";
            let labels = [("party", party.as_str())];
            let help = "Requests above the party's limit.";
            text.counter(name, help, &labels, load(&of_party.rate_limited));
        }
        for (party, of_party) in &self.by_party {
            let name = "slacktide_gateway_exchange_connected";
            let labels = [("party", party.as_str())];
            let help = "1 while the exchange answers with the party's credential.";
            let value = f64::from(u8::from(of_party.is_connected.load(Ordering::Relaxed)));
            text.gauge(name, help, &labels, value);
        }
        text.finish()
    }
}

/// Returns the label of a method: one of a few, because a client can invent others.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Returns type and labels of each metric on the page that begins with the gateway's prefix.
    fn documented() -> BTreeMap<String, (String, String)> {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page
            .lines()
            .filter(|line| line.starts_with("| `slacktide_gateway_"));
        let mut metrics = BTreeMap::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, kind, labels, meaning, _] = cells[..] else {
                continue;
            };
            assert!(!meaning.is_empty(), "{name}");
            // A row of the alerts has an expression there.
            if name.contains(' ') {
                continue;
            }
            let text = |cell: &str| cell.replace('`', "");
            metrics.insert(text(name), (text(kind), text(labels)));
        }
        metrics
    }

    #[test]
    fn metrics_and_their_page_have_the_same_names() {
        let metrics = Metrics::new(vec![PartyName::new("bureau").unwrap()]);
        metrics.answered("/v1/ping", &Method::GET, 200, Duration::from_millis(3));
        let text = metrics.render();
        let mut rendered = BTreeMap::new();
        for line in text.lines() {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, kind) = typed.split_once(' ').unwrap();
                rendered.insert(name.to_owned(), (kind.to_owned(), String::new()));
            } else if let Some((name, labels)) = line.split_once('{') {
                let names = labels.split("\",").map(|label| label.split('=').next().unwrap());
                let labels = names.collect::<Vec<_>>().join(", ");
                let name = name.strip_suffix("_bucket").unwrap_or(name);
                rendered.get_mut(name).unwrap().1 = labels;
            }
        }
        assert_eq!(rendered, documented());
    }

    #[test]
    fn metrics_count_requests_and_what_is_in_flight() {
        let metrics = Metrics::new(Vec::new());
        let held = metrics.in_flight();
        assert_eq!(metrics.open(), (0, 1));
        drop(held);
        assert_eq!(metrics.open(), (0, 0));
        let invented = Method::from_bytes(b"INVENTED").unwrap();
        metrics.answered(NO_ROUTE, &invented, 404, Duration::from_secs(60));
        let text = metrics.render();
        assert!(
            text.contains("{route=\"none\",method=\"other\",status=\"404\"} 1"),
            "{text}"
        );
        assert!(text.contains("_bucket{le=\"30\"} 0"), "{text}");
    }
}
