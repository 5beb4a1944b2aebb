//! The state of server and gateway on one health page.

use std::sync::Arc;

use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use serde_json::json;
use tokio::sync::watch;

use super::server::ServerState;

/// The gateway's report, and the server's state.
pub(crate) struct FrontReport {
    pub(crate) gateway: Arc<dyn Report>,
    pub(crate) server: watch::Receiver<ServerState>,
}

impl Report for FrontReport {
    fn status(&self) -> serde_json::Value {
        let server = self.server.borrow().clone();
        let mut page = self.gateway.status();
        if let Some(page) = page.as_object_mut() {
            let server = json!({
                "running_since": server.running_since,
                "failures": server.failures,
                "last_end": server.last_end,
            });
            page.insert("server".to_owned(), server);
        }
        page
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    fn metrics(&self) -> String {
        let server = self.server.borrow().clone();
        let mut text = MetricsText::new();
        text.gauge(
            "slacktide_front_server_up",
            "1 while nats-server runs.",
            &[],
            f64::from(u8::from(server.running_since.is_some())),
        );
        text.counter(
            "slacktide_front_server_failures_total",
            "Times that nats-server ended unexpectedly.",
            &[],
            server.failures as f64,
        );
        self.gateway.metrics() + &text.finish()
    }

    fn live(&self) -> Result<(), Problem> {
        self.gateway.live()
    }

    fn ready(&self) -> Result<(), Problem> {
        check_running(&self.server.borrow())?;
        self.gateway.ready()
    }

    fn healthy(&self) -> Result<(), Problem> {
        check_running(&self.server.borrow())?;
        self.gateway.healthy()
    }
}

fn check_running(server: &ServerState) -> Result<(), Problem> {
    match (&server.running_since, &server.last_end) {
        (Some(_), _) => Ok(()),
        (None, None) => Err(Problem::from("nats-server has not started yet".to_owned())),
        (None, Some(how)) => Err(Problem::from(format!(
            "nats-server ended {how} and is started again"
        ))),
    }
}
