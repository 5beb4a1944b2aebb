//! The parties that the gateway serves.

use std::fmt;
use std::sync::Arc;

use exchange::Exchange;
use schemars::JsonSchema;
use schemas::name::PartyName;
use serde::{Deserialize, Serialize};

/// What a party is at the exchange. Only the shape of a request depends on it; the exchange's permissions decide about rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends chunks and answers requests, of any recipient.
    Bureau,
    /// Receives chunks and files requests; names only itself.
    Recipient,
    /// Reads everything.
    Auditor,
}

/// What a person may do in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRole {
    /// Sees the pages.
    Viewer,
    /// Also prepares commands.
    Operator,
}

/// A party, and the exchange as its own credential opens it.
#[derive(Clone)]
pub struct PartyAccess {
    /// Its name.
    pub name: PartyName,
    /// Its role.
    pub role: Role,
    /// The exchange, with the party's credential.
    pub exchange: Arc<dyn Exchange>,
}

impl fmt::Debug for PartyAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartyAccess")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
