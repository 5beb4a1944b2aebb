//! The commercial agent: polls at a fixed interval, stores chunks, settles them and signs receipts.
//!
//! - [`step`] PURE: groups chunks into transactions, decides settlements and due receipts
//! - [`open`] opens a delivery as a verified chunk, or marks it for quarantine
//! - `poll_loop` runs rounds at a fixed interval, with back-off; [`poller`] and [`requester`] work in them
//! - [`poller`] runs these decisions; `transaction` stores and settles a lane's chunks; [`receipts`] publishes signed
//!   receipts
//! - [`evidence`] PURE: compares the store with its receipts; [`compare`] runs the comparison; [`rows`] counts table
//!   rows
//! - [`refill`] reads and stores acknowledged chunks that the store lost; [`rebuild`] stores a stream into an empty store;
//!   [`direct`] how both open and store chunks
//! - [`requester`] files requests, stores their answers and confirms them
//! - [`agent`] runs both flows and stops them in order; [`parts`] its settings and dependencies
//! - [`status`] the agent's status; [`error`] why a step failed

pub mod agent;
pub mod compare;
pub mod direct;
pub mod error;
pub mod evidence;
pub mod open;
pub mod parts;
mod poll_loop;
pub mod poller;
pub mod rebuild;
pub mod receipts;
pub mod refill;
pub mod requester;
pub mod rows;
pub mod status;
pub mod step;
mod trace;
mod transaction;

pub use agent::{run, run_asking};
pub use error::StepError;
pub use parts::{CommercialParts, PollOptions};
pub use poller::CommercialError;
pub use requester::{Requester, RequesterParts, RequestsStatus};
pub use status::{CommercialStatus, QuarantineStatus, StatusRegistry};
