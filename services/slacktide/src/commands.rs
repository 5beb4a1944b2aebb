//! One module for each command; [`dispatch`] runs them.

mod agent;
mod agent_metrics;
mod approvals;
mod audit;
mod blocklist;
mod commercial;
mod config;
pub(crate) mod control_records;
pub(crate) mod dispatch;
mod exchange;
mod feed;
mod front;
#[cfg(test)]
mod fuzz;
mod gate;
mod gateway;
pub(crate) mod health;
mod hold;
mod issued_order;
mod items;
pub(crate) mod keys;
pub(crate) mod lane_trust;
mod masking;
mod operator;
pub(crate) mod orders;
mod party;
mod quarantine;
mod reconcile;
mod reopen;
mod request;
#[cfg(test)]
mod schemas;
mod social;
mod status;
mod store;

pub(crate) use keys::{Public, write_keys};
