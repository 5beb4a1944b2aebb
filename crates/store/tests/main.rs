//! Tests of both stores on real databases.
#![allow(clippy::unwrap_used, reason = "a test that cannot do its work must fail")]

mod formats;
mod keys;
mod merge;
mod modules;
mod postgres;
mod quarantine;
mod requests;
mod row_counts;
mod settings;
mod sqlite;
mod tables;
mod values;
