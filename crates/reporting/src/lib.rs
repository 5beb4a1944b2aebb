//! Publication of an agent's own status at the exchange, for a reader that is not on the agent's machine.
//!
//! A report is the document of the agent's page `/status` and, for an agent with a gate, the gate's last 24 hours. It is
//! published every 15 seconds, and every second while an operator watches. Nothing of the agent waits for it: an exchange that
//! refuses or does not answer is shown in the agent's own status and logged once.
//!
//! - [`cadence`] PURE: when a report is due, and when the note of a watch is read
//! - [`history`] PURE: the gate's last 24 hours in buckets of five minutes
//! - [`publication`] how the publication goes, for the agent's own page
//! - [`reporter`] the tasks, of its [`parts`]; `report` makes the signed bytes

pub mod cadence;
pub mod history;
pub mod parts;
pub mod publication;
mod report;
pub mod reporter;

pub use history::GateReading;
pub use parts::ReporterParts;
pub use publication::Publication;
pub use reporter::{Reporter, Sources};
