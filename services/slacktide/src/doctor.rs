//! Checks configuration and connectivity without changing the core or the exchange, and lists findings with remedies. At the insurer it
//! creates the store's own tables where they are missing, as the agent does at its start.
//!
//! - [`finding`] findings and their list
//! - [`exchange`] the connection to the exchange; [`certificates`] subjects and expiry
//! - [`priority`] the priority mode
//! - [`social`] the source, its privileges, the gate's signals; [`kinds`] kinds of requests; [`masking`] block list and masks;
//!   [`lanes`] what would stop a lane
//! - [`commercial`] the store; [`database`] the security of a database connection; [`page`] the status page

pub(crate) mod certificates;
mod commercial;
mod database;
mod exchange;
mod finding;
mod kinds;
mod lanes;
mod masking;
mod page;
mod priority;
mod social;

use std::path::PathBuf;

use runtime::exit::Exit;

use crate::failure::Outcome;
use crate::output;
use crate::settings::{ConfigFile, load_any, sample_keys};
pub(crate) use finding::Findings;

/// Checks a configuration and everything that it describes.
pub(crate) async fn run(path: PathBuf, offline: bool, json: bool) -> Outcome {
    let mut findings = Findings::default();
    let kind = load_any(&path)?;
    match sample_keys::refuse_sample_keys(&path) {
        Ok(()) => findings.ok("configuration", format!("{} is valid", path.display())),
        Err(failure) => findings.fail("configuration", &failure),
    }
    match kind {
        ConfigFile::Social(loaded) => social::examine(&loaded, offline, &mut findings).await,
        ConfigFile::Commercial(loaded) => commercial::examine(&loaded, offline, &mut findings).await,
        ConfigFile::Party(loaded) => {
            let table = &loaded.value.exchange;
            let exchange = exchange::examine(table, loaded.folder(), offline, &mut findings).await;
            if let Some(exchange) = exchange.filter(|_| table.user == nats::topology::parties::ADMINISTRATOR)
            {
                exchange::fullness_of_all(&exchange, &mut findings).await;
            }
        }
    }
    output::report(&findings, json)?;
    Ok(if findings.has_failed() {
        findings.exit()
    } else {
        Exit::Done
    })
}
