//! The complete flow over an in-memory exchange and a SQLite file.
//!
//! - `insurer_site` the insurer's programs and requesters; `bureau` simulated replies
//! - `flow` normal operation; `crash` interrupted steps; `forged` invalid replies; `lost` answers that a restored
//!   store lacks

mod bureau;
mod crash;
mod flow;
mod forged;
mod insurer_site;
mod lost;
