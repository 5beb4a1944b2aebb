//! The status page, metrics and health of the commercial agent.

use ::commercial::StatusRegistry;
use ::reporting::Publication;
use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use runtime::supervise::Supervisor;
use tokio::sync::watch;

use super::super::quarantine::watch as quarantine;
use super::super::reconcile::schedule::LastComparisons;
use super::super::status::agent_lanes::{self, AgentLanes};
use super::super::status::judge::JudgedLane;
use super::super::{agent, agent_metrics};
use crate::fullness::FullnessWatch;

/// The agent's page.
pub(super) struct Page {
    pub(super) registry: StatusRegistry,
    pub(super) connection: watch::Receiver<exchange::Connection>,
    pub(super) started: jiff::Timestamp,
    pub(super) fullness: FullnessWatch,
    pub(super) supervisor: Supervisor,
    pub(super) lanes: AgentLanes,
    pub(super) publication: Publication,
    pub(super) comparisons: LastComparisons,
}

impl Page {
    /// Returns each lane's current state.
    fn judged(&self) -> Vec<JudgedLane> {
        self.lanes.judged(own_page(&self.registry, &self.connection))
    }
}

/// Returns the page without the lane states.
pub(super) fn own_page(
    registry: &StatusRegistry,
    connection: &watch::Receiver<exchange::Connection>,
) -> serde_json::Value {
    let mut status = serde_json::to_value(registry.status()).unwrap_or_default();
    if let Some(page) = status.as_object_mut() {
        page.insert("exchange".to_owned(), agent::exchange(connection));
    }
    status
}

impl Report for Page {
    fn status(&self) -> serde_json::Value {
        let mut page = own_page(&self.registry, &self.connection);
        let states = self.lanes.status_data(page.clone());
        if let Some(page) = page.as_object_mut() {
            page.insert("states".to_owned(), states);
            page.insert("published".to_owned(), agent::published(&self.publication));
            page.insert("comparisons".to_owned(), self.comparisons.status());
        }
        page
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    fn metrics(&self) -> String {
        let status = self.registry.status();
        let mut text = MetricsText::new();
        agent_metrics::process("insurer", self.started, &mut text);
        text.counter(
            "slacktide_poll_ticks_total",
            "Ticks of the interval.",
            &[],
            status.ticks as f64,
        );
        text.counter(
            "slacktide_fetched_total",
            "Messages fetched, redeliveries included.",
            &[],
            status.fetched as f64,
        );
        text.counter(
            "slacktide_quarantined_total",
            "Messages quarantined whole.",
            &[],
            status.quarantined as f64,
        );
        agent_metrics::commercial(&status, jiff::Timestamp::now(), &mut text);
        agent_metrics::connection(&agent::exchange(&self.connection), &mut text);
        self.fullness.metrics(&mut text);
        self.publication.metrics(&mut text);
        traces::metrics::write(&mut text);
        quarantine::metrics(&status, &mut text);
        self.comparisons.metrics(&mut text);
        agent_lanes::write_metrics(&self.judged(), &mut text);
        text.finish()
    }

    fn live(&self) -> Result<(), Problem> {
        agent::live(&self.supervisor)
    }

    fn ready(&self) -> Result<(), Problem> {
        agent::connected(&self.connection)?;
        let status = self.registry.status();
        match (status.last_error, status.is_prepared) {
            (Some(why), _) => Err(why.into()),
            (None, false) => Err("the store has not answered yet".into()),
            (None, true) => Ok(()),
        }
    }

    fn healthy(&self) -> Result<(), Problem> {
        agent::check_accepted(&self.connection)?;
        let status = self.registry.status();
        if let Some(why) = &status.other_store {
            return Err(why.clone().into());
        }
        let lost = status
            .requests
            .as_ref()
            .map_or(0, |requests| requests.lost_answers);
        let refused = status.requests.as_ref().map(|requests| requests.refused.iter());
        match refused.and_then(|mut refused| refused.next()) {
            Some((id, why)) => Err(format!("the reply to request {id} waits: {why}").into()),
            None if lost > 0 => Err(format!(
                "{lost} answers were confirmed and are not stored: the store was restored or replaced; {}",
                ::commercial::requester::REFILL_ANSWERS
            )
            .into()),
            None => agent_lanes::check_health(&self.judged()),
        }
    }
}
