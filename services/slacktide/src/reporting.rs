//! Publishes the agent's own status at the exchange: the settings of the file for the crate `reporting`.
//!
//! - `publishable` PURE: the part of the page that may leave the host

mod publishable;

use std::sync::Arc;

use ::reporting::{GateReading, Publication, Reporter, ReporterParts, Sources};
use exchange::StatusExchange;
use gate::Gate;
use runtime::health::Report;
use schemas::load::GateState;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use schemas::status_report::AgentRole;
use source::Source;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compose;
use crate::settings::status::StatusTable;

/// The agent that publishes.
pub(crate) struct ReportingAgent {
    /// The party.
    pub(crate) party: PartyName,
    /// What the agent does.
    pub(crate) role: AgentRole,
    /// The run of the process.
    pub(crate) instance: String,
    /// Signs the reports.
    pub(crate) key: Arc<SigningKey>,
    /// The gate and the source whose history is published.
    pub(crate) gate: Option<(Gate, Arc<dyn Source>)>,
}

/// Starts the publication of `page`, until `stop`; a task that ends at once if the file switches it off.
pub(crate) fn start(
    table: &StatusTable,
    agent: ReportingAgent,
    exchange: Arc<dyn StatusExchange>,
    page: Arc<dyn Report>,
    publication: Publication,
    stop: CancellationToken,
) -> JoinHandle<()> {
    if !table.publish {
        return tokio::spawn(std::future::ready(()));
    }
    let writer = table.name.clone();
    let writer = writer.unwrap_or_else(|| writer_name(agent.role, &compose::host(), &agent.party));
    let parts = ReporterParts {
        exchange,
        party: agent.party,
        writer,
        role: agent.role,
        instance: agent.instance,
        key: agent.key,
    };
    let sources = Sources {
        page: Box::new(move || publishable::publishable(page.status())),
        gate: agent
            .gate
            .map(|(gate, source)| -> Box<dyn Fn() -> GateReading + Send + Sync> {
                Box::new(move || reading(&gate, &*source))
            }),
    };
    Reporter::new(parts, sources, publication).start(stop)
}

/// Returns the gate's counters.
fn reading(gate: &Gate, source: &dyn Source) -> GateReading {
    let status = gate.status();
    let load = status.readings_milli.get(gate::signal::cpu::NAME).copied();
    GateReading {
        open_ms: status.open_ms,
        closed_ms: status.closed_ms,
        is_limited: status.state == GateState::Limited,
        rows: source.driver_counts().rows,
        // Thousandths of a percent.
        load_permille: load.flatten().and_then(|milli| u32::try_from(milli / 100).ok()),
    }
}

/// PURE: returns the name of an agent among those of its party: its role and the first label of its host's name, in the alphabet
/// of names.
fn writer_name(role: AgentRole, host: &str, party: &PartyName) -> PartyName {
    let label = host.split('.').next().unwrap_or_default().to_lowercase();
    let label: String = label
        .chars()
        .map(|character| match character {
            'a'..='z' | '0'..='9' | '-' | '_' => character,
            _ => '-',
        })
        .take(40)
        .collect();
    let name = format!("{}-{label}", role.as_str());
    // Every such name is valid; a party's name always is.
    PartyName::new(name).unwrap_or_else(|_| party.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_name_is_role_and_host() {
        let party = PartyName::new("bureau").unwrap();
        for (host, expected) in [
            ("core1", "social-core1"),
            ("Core_2.example.org", "social-core_2"),
            ("", "social-"),
            ("机房", "social---"),
        ] {
            assert_eq!(writer_name(AgentRole::Social, host, &party).as_str(), expected);
        }
        let long = writer_name(AgentRole::Commercial, &"h".repeat(100), &party);
        assert_eq!(long.as_str().len(), "commercial-".len() + 40);
    }
}
