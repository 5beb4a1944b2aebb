//! Both sources against real databases.

#![allow(clippy::unwrap_used, reason = "what fails here must fail the test")]

mod binary_text;
mod bytes;
mod fence;
mod formats;
mod future_rows;
mod hidden_rows;
mod indexes;
mod keys;
mod position_checks;
mod postgres;
mod probe;
mod request_query;
mod restored_copies;
mod rows;
mod settings;
mod sqlite;
