//! The `[telemetry]` table.

use hyper::Uri;
use serde::{Deserialize, Serialize};

/// Where spans go. Without this table there are none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector's address for OTLP over HTTP, `http://127.0.0.1:4318`: a loopback address, because the connection is in clear.
    pub otlp: String,
    /// The share of traces that this process begins and records, 0 to 1. A trace that another process began is recorded if that
    /// process records it.
    #[serde(default = "everything")]
    pub sample: f64,
}

fn everything() -> f64 {
    1.0
}

/// An address that is not a collector's on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not http://HOST:PORT with a loopback host, such as \"http://127.0.0.1:4318\"")]
pub struct BadCollector(String);

impl TelemetryConfig {
    /// Returns host and port of the collector.
    ///
    /// # Errors
    /// [`BadCollector`] if it is not a plain address on this host.
    pub fn collector(&self) -> Result<(String, u16), BadCollector> {
        let bad = || BadCollector(self.otlp.clone());
        let uri: Uri = self.otlp.parse().map_err(|_| bad())?;
        let host = uri.host().unwrap_or_default();
        let is_loopback = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let is_plain = uri.scheme_str() == Some("http")
            && uri.path() == "/"
            && uri.query().is_none()
            && !self.otlp.contains('@');
        if !is_loopback || !is_plain {
            return Err(bad());
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok((host, uri.port_u16().unwrap_or(4318)))
    }

    /// Returns whether `sample` is a share.
    #[must_use]
    pub fn is_share(&self) -> bool {
        (0.0..=1.0).contains(&self.sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collector(otlp: &str) -> Option<(String, u16)> {
        let config = TelemetryConfig {
            otlp: otlp.to_owned(),
            sample: 1.0,
        };
        config.collector().ok()
    }

    #[test]
    fn telemetry_collector_is_on_this_host() {
        assert_eq!(collector("http://127.0.0.1:9"), Some(("127.0.0.1".to_owned(), 9)));
        assert_eq!(collector("http://[::1]:9/"), Some(("::1".to_owned(), 9)));
        assert_eq!(
            collector("http://localhost"),
            Some(("localhost".to_owned(), 4318))
        );
        for bad in [
            "",
            "127.0.0.1:4318",
            "https://127.0.0.1:4318",
            "http://collector.example:4318",
            "http://127.0.0.1:4318/v1/traces",
            "http://a:b@127.0.0.1:4318",
            "http://127.0.0.1.example:4318",
        ] {
            assert_eq!(collector(bad), None, "{bad}");
        }
    }
}
