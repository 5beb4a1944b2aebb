//! One module for each command; [`dispatch`] runs them.

mod agent;
mod agent_metrics;
pub(crate) mod approvals;
mod audit;
pub(crate) mod blocklist;
mod commercial;
mod config;
pub(crate) mod control_records;
pub(crate) mod dispatch;
mod exchange;
pub(crate) mod feed;
mod front;
#[cfg(test)]
mod fuzz;
pub(crate) mod gate;
mod gateway;
pub(crate) mod health;
pub(crate) mod hold;
mod issued_order;
mod items;
pub(crate) mod keys;
pub(crate) mod lane_trust;
pub(crate) mod masking;
mod operator;
pub(crate) mod orders;
mod party;
pub(crate) mod quarantine;
pub(crate) mod reopen;
pub(crate) mod request;
#[cfg(test)]
mod schemas;
mod social;
pub(crate) mod status;
pub(crate) mod store;

pub(crate) use keys::{Public, write_keys};
