//! What an operator sees and does, with the real binary.
//!
//! - `screen` `slacktide status` and `feed` in each state, from both sides
//! - `holds` a feed, a recipient and a person kept back; across restarts and takeovers; and let go
//! - `pages` health pages and the service manager's socket
//! - `metrics` every name is documented and the reverse; nothing of a person in them
//! - `deploy` the units and alert rules that ship

mod deploy;
mod holds;
mod metrics;
mod pages;
mod screen;
mod told;
