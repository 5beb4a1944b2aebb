//! What is known: from the configuration, the exchange through the party's own credential, and the own agent.
//!
//! Nothing here judges. What a credential may not see is told as not seen.
//!
//! - [`known`] the facts of a whole side; [`lane`] those of a lane
//! - [`eyes`] who looks, and whom they believe, by their file
//! - [`look`] one look; [`lanes`] which lanes there are, [`exchange`] what needs no belief, [`believed`] what others signed

mod believed;
mod exchange;
mod eyes;
mod known;
mod lane;
mod lanes;
mod look;

pub(crate) use known::LeaseFacts;
#[cfg(test)]
pub(crate) use known::{AgentFacts, ExchangeFacts};
pub(crate) use known::{Facts, Side};
pub(crate) use lane::LaneFacts;
#[cfg(test)]
pub(crate) use lane::{ChunkFacts, ReceiptFacts};
pub(crate) use look::{SeenBy, of_social};
