//! Connections to a real PostgreSQL, with TLS and without.

#![allow(clippy::unwrap_used, reason = "what fails here must fail the test")]

mod certificates;
mod messages;
mod modes;
mod site;
