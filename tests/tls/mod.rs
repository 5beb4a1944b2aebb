//! TLS and keys: what `keys site` makes, as real processes over mutual TLS.
//!
//! - `path` the whole path, sealed, and encrypted where it rests
//! - `certificates` wrong, missing, over: told with the remedy, and renewed without a restart
//! - `databases` core and store behind TLS
//! - `rotation` every key changed while rows flow
//! - `reading` what the exchange's operator can read; `eyes` everything that lies there
//! - `altering` what the operator can change, and who finds it; `operator` the means to
//! - `secrets` where seeds and passwords are not
//! - `site` the site itself

mod altering;
mod certificates;
mod databases;
mod eyes;
mod operator;
mod path;
mod reading;
mod rotation;
mod secrets;
pub(crate) mod site;
