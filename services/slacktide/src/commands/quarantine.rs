//! `slacktide quarantine list|show|retry|discard|export|check`.
//!
//! The configuration determines the side: an insurer's works on its store, a bureau's reads what it published and what its
//! receivers report. Every action and every access to content is signed into the party's audit chain first; without the
//! exchange nothing is done.
//!
//! - `commercial` the insurer's side; `social` the bureau's
//! - `act` the audit entry; `render` lines and tables; `content` decodes the content of an entry
//! - `export` the export file and its check
//! - `watch` counts entries for the agent's status and metrics, and retries waiting rows

mod act;
pub(super) mod commercial;
mod content;
pub(super) mod export;
pub(super) mod render;
pub(super) mod social;
pub(crate) mod watch;

use crate::cli::quarantine::QuarantineCommand;
use crate::failure::{Failure, Outcome};
use crate::settings::{ConfigFile, load_any};

/// Runs a subcommand.
pub(crate) async fn run(command: QuarantineCommand) -> Outcome {
    if let QuarantineCommand::Check { file, trust, json } = &command {
        return export::check(file, trust, *json);
    }
    let path = match &command {
        QuarantineCommand::List { config, .. } => &config.config,
        QuarantineCommand::Show { order, .. }
        | QuarantineCommand::Retry { order, .. }
        | QuarantineCommand::Discard { order, .. }
        | QuarantineCommand::Export { order, .. } => &order.config.config,
        QuarantineCommand::Check { file, .. } => file,
    };
    match load_any(path)? {
        ConfigFile::Commercial(loaded) => commercial::run(&loaded, command).await,
        ConfigFile::Social(loaded) => social::run(&loaded, command).await,
        ConfigFile::Party(loaded) => Err(Failure::usage(format!(
            "{}: neither an insurer's nor a bureau's file; give the configuration of an insurer or the bureau",
            loaded.path.display()
        ))),
    }
}
