//! Facts from the configuration, from the exchange through the party's own credential, and from the own agent.
//!
//! Facts carry no judgement. What the credential may not read is absent.
//!
//! - [`side`] the facts of one side; [`lane`] those of a lane
//! - [`viewer`] the viewer and its trusted keys
//! - [`collect`] collects the facts; [`lanes`] lists the lanes; [`exchange`] unsigned facts, [`verified`] signed facts

mod collect;
mod exchange;
mod lane;
mod lanes;
mod side;
mod verified;
mod viewer;

pub(crate) use collect::{StatusCollector, collect_for_bureau};
pub(crate) use lane::{ChunkFacts, LaneFacts, ReceiptFacts};
pub(crate) use side::LeaseFacts;
#[cfg(test)]
pub(crate) use side::{AgentFacts, ExchangeFacts};
pub(crate) use side::{Facts, Side};
