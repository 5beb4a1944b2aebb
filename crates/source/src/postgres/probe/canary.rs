//! Measures the time of a small statement, as the business's clients experience it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;
use gate::signal::probe::config::CANARY;
use tokio::time::Instant;

use super::link::Link;

pub(super) struct Canary {
    link: Arc<Link>,
    sql: String,
}

impl Canary {
    pub(super) fn new(link: Arc<Link>, sql: String) -> Self {
        Self { link, sql }
    }
}

#[async_trait]
impl Probe for Canary {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(CANARY.into(), "ms")]
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        self.link.connect().await
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let began = Instant::now();
        self.link.ask(&self.sql).await?;
        let took_ms = began.elapsed().as_secs_f64() * 1e3;
        Ok(BTreeMap::from([(CANARY.into(), took_ms)]))
    }

    fn disconnect(&mut self) {
        self.link.disconnect();
    }
}
