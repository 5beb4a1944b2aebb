//! Both sources against real databases.

#![allow(clippy::unwrap_used, reason = "what fails here must fail the test")]

mod bytes;
mod fence;
mod postgres;
mod probe;
mod question;
mod rows;
mod settings;
mod sqlite;
