//! Both receivers on real databases.
#![allow(clippy::unwrap_used, reason = "a test that cannot do its work must fail")]

mod keys;
mod postgres;
mod quarantine;
mod requests;
mod settings;
mod shaped;
mod sqlite;
mod tables;
mod values;
