//! The state of the gateway for the health server, and the task that measures the connections to the exchange.

use std::time::Duration;

use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

/// How often each party's connection to the exchange is measured.
const INTERVAL: Duration = Duration::from_secs(5);

/// The time for one measurement.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The report of a running gateway.
#[derive(Debug, Clone)]
pub(crate) struct GatewayReport(pub(crate) Gateway);

impl Report for GatewayReport {
    fn status(&self) -> serde_json::Value {
        let (connections, requests) = self.0.metrics().open();
        let disconnected = self.0.metrics().disconnected();
        json!({
            "connections": connections,
            "requests_in_flight": requests,
            "parties": self.0.parties().map(|party| party.name.as_str()).collect::<Vec<_>>(),
            "disconnected": disconnected.iter().map(|party| party.as_str()).collect::<Vec<_>>(),
            "is_stopping": self.0.stop().is_cancelled(),
        })
    }

    fn metrics(&self) -> String {
        let mut text = MetricsText::new();
        traces::metrics::write(&mut text);
        self.0.metrics().render() + &text.finish()
    }

    fn ready(&self) -> Result<(), Problem> {
        if self.0.stop().is_cancelled() {
            return Err("the gateway is stopping".into());
        }
        self.healthy()
    }

    fn healthy(&self) -> Result<(), Problem> {
        let disconnected = self.0.metrics().disconnected();
        if disconnected.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = disconnected.iter().map(|party| party.as_str()).collect();
        Err(format!("the exchange does not answer for {}", names.join(", ")).into())
    }
}

/// Measures the connections of all parties until the gateway stops.
pub(crate) async fn measure_connections(gateway: Gateway, stop: CancellationToken) {
    loop {
        let measurements = gateway.parties().map(async |party| {
            let answered = tokio::time::timeout(TIMEOUT, party.exchange.ping()).await;
            gateway
                .metrics()
                .connected(&party.name, matches!(answered, Ok(Ok(_))));
        });
        tokio::select! {
            () = stop.cancelled() => return,
            _ = futures_util::future::join_all(measurements) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
