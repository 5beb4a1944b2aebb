//! Exports of a rich site and their verification.
//!
//! - `rich_site` a site with two insurers, requests, decisions, orders, a new epoch and rotated keys, and its export
//! - `clean` the export and the live streams verify without a fault; exports are deterministic and continue
//! - `offline` an export in memory: its messages, and how they are verified
//! - `files` manipulated bytes of export files
//! - `messages` manipulated messages, exported again with valid digests and a valid signature
//! - `forgery` signs again what was changed
//! - `isolated` `slacktide-verify` in an empty root without a network

mod clean;
mod files;
mod forgery;
mod isolated;
mod messages;
mod offline;
mod rich_site;
