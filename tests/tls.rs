//! TLS and keys: the files of `keys site`, with real processes over mutual TLS.
//!
//! - `delivery` the whole path, encrypted in transit and at rest
//! - `certificates` wrong, missing, expired: reported with the remedy, and renewed without a restart
//! - `databases` core and store with TLS
//! - `rotation` every key rotated while rows flow
//! - `confidentiality` what the exchange's operator can read; `exchange_contents` everything stored there
//! - `tampering` what the operator can change, and who detects it; `exchange_admin` the means
//! - `secrets` seeds and passwords are in no log, page or argument
//! - `site` the site itself

mod certificates;
mod confidentiality;
mod databases;
mod delivery;
mod exchange_admin;
mod exchange_contents;
mod rotation;
mod secrets;
pub(crate) mod site;
mod tampering;
