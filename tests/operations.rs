//! What operators see and do, with the real binary.
//!
//! - `screen` `slacktide status` and `feed` in each state, from both sides
//! - `holds` holds of a feed, a recipient and a person, across restarts and takeovers, and their release
//! - `health_pages` health pages and the service manager's socket
//! - `metrics` names and documentation match; no personal data
//! - `published` the status that the agents publish at the exchange
//! - `deploy` the units and alert rules that ship; `alerts` the cases of the rules

mod alerts;
mod commands;
mod deploy;
mod health_pages;
mod holds;
mod metrics;
mod published;
mod screen;
