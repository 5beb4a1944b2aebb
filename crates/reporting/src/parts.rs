//! What a reporter is made of.

use std::sync::Arc;

use exchange::StatusExchange;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use schemas::status_report::AgentRole;

/// Who publishes, and where.
pub struct ReporterParts {
    /// The exchange.
    pub exchange: Arc<dyn StatusExchange>,
    /// The party.
    pub party: PartyName,
    /// The agent among those of the party.
    pub writer: PartyName,
    /// What the agent does.
    pub role: AgentRole,
    /// The run of the process.
    pub instance: String,
    /// Signs the reports.
    pub key: Arc<SigningKey>,
}
