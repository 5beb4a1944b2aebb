//! Both sources against real databases.

#![allow(clippy::unwrap_used, reason = "what fails here must fail the test")]

mod ahead;
mod believed;
mod bytes;
mod copies;
mod fence;
mod forms;
mod hidden;
mod indexes;
mod keys;
mod postgres;
mod probe;
mod question;
mod rows;
mod settings;
mod sqlite;
