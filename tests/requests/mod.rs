//! Data requests as real processes: two insurers ask one bureau.
//!
//! - `office` the site: servers, keys, configuration files, kinds of questions
//! - `wishes` PURE: a mix of requests, each with the outcome that it must have
//! - `every` thousands of them while feeds run and the gate opens and shuts
//! - `kills` kill -9 of responders, requesters and the exchange
//! - `outcomes` refusals, deadlines, cancels, long answers, officers
//! - `commands` what an insurer's clerk is told, and the exit codes
//! - `told` how a request stands, from the streams alone, and how long it took
//! - `blocked` persons about whom nothing is sent, and a list that nobody can read
//! - `denied` what a recipient may not have, in no byte of it
//! - `hostile` texts that act on screens, and JSON of two meanings

mod blocked;
mod commands;
mod denied;
mod every;
mod hostile;
mod kills;
pub(crate) mod office;
mod outcomes;
mod told;
mod wishes;
