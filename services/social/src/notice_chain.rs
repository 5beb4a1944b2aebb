//! PURE: the audit chain that notifies a recipient, `audit.<party>.to-<recipient>`.

use schemas::name::{PartyName, RecipientName};

/// The action of its entries.
pub const ACTION: &str = "lanes.state";

/// Returns the chain's writer. The prefix keeps a recipient's name distinct from other writers.
#[must_use]
pub fn writer(recipient: &RecipientName) -> Option<PartyName> {
    PartyName::new(format!("to-{recipient}")).ok()
}
