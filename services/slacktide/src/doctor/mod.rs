//! What is wrong, before anything is touched: a list of findings with remedies.
//!
//! - [`finding`] one finding, and the list
//! - [`exchange`] the connection of any file; [`certificates`] whose they are, and until when
//! - [`priority`] whether the kernel helps
//! - [`social`] the source, its privileges, the gate's signals; [`kinds`] what may be asked; [`hidden`] what must not be seen;
//!   [`lanes`] what would stop a lane
//! - [`commercial`] the store; [`database`] what protects the connection to either database; [`page`] the status page

mod certificates;
mod commercial;
mod database;
mod exchange;
mod finding;
mod hidden;
mod kinds;
mod lanes;
mod page;
mod priority;
mod social;

use std::path::PathBuf;

use runtime::exit::Exit;

use crate::failure::Outcome;
use crate::output;
use crate::settings::{Kind, examples, load_any};
pub(crate) use finding::Findings;

/// Examines what a file describes.
pub(crate) async fn run(path: PathBuf, offline: bool, json: bool) -> Outcome {
    let mut findings = Findings::default();
    let kind = load_any(&path)?;
    match examples::refuse(&path) {
        Ok(()) => findings.ok("configuration", format!("{} is good", path.display())),
        Err(failure) => findings.fail("configuration", &failure),
    }
    match kind {
        Kind::Social(loaded) => social::examine(&loaded, offline, &mut findings).await,
        Kind::Commercial(loaded) => commercial::examine(&loaded, offline, &mut findings).await,
        Kind::Party(loaded) => {
            let table = &loaded.value.exchange;
            let exchange = exchange::examine(table, loaded.folder(), offline, &mut findings).await;
            if let Some(exchange) = exchange.filter(|_| table.user == nats::topology::parties::ADMINISTRATOR)
            {
                exchange::fullness_of_all(&exchange, &mut findings).await;
            }
        }
    }
    if json {
        output::json(&findings)?;
    } else {
        output::lines(findings.lines());
    }
    Ok(if findings.failed() {
        findings.exit()
    } else {
        Exit::Done
    })
}
