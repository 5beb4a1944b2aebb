//! Data requests as real processes: two insurers and one bureau.
//!
//! - `request_site` the site: servers, keys, configuration files, kinds of requests
//! - `cases` PURE: a mix of requests, each with its expected outcome
//! - `volume` thousands of requests while feeds run and the gate opens and closes
//! - `kills` kill -9 of responders, requesters and the exchange
//! - `outcomes` refusals, deadlines, cancels, long answers, officers
//! - `commands` output and exit codes for an insurer's clerk
//! - `status` the state of a request, read from the streams alone, and its timing
//! - `blocklist` listed persons, and an unreadable list
//! - `masking` denied and masked values are nowhere
//! - `terminal_escapes` texts with terminal escapes, and JSON with two meanings

mod blocklist;
pub(crate) mod cases;
mod commands;
mod kills;
mod masking;
mod outcomes;
pub(crate) mod request_site;
mod status;
mod terminal_escapes;
mod volume;
