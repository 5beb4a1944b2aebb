//! `slacktide exchange apply|status`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use nats::topology::{self, Admin, Plan, Topology};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::RecipientName;

use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Style};
use crate::settings::{PartyFile, load};

/// Options of `exchange apply`.
pub(crate) struct ApplyOptions {
    /// The folder; `None`: the shipped files.
    pub(crate) dir: Option<PathBuf>,
    /// Recipients, with the shipped files.
    pub(crate) recipients: Vec<String>,
    /// Apply without confirmation.
    pub(crate) yes: bool,
    /// Apply destructive changes, too.
    pub(crate) force: bool,
    /// Change nothing.
    pub(crate) dry_run: bool,
    /// Print JSON.
    pub(crate) json: bool,
}

/// Shows the differences, then applies them.
pub(crate) async fn apply(path: PathBuf, options: ApplyOptions) -> Outcome {
    let topology = read(&options)?;
    let admin = admin(&path).await?;
    let plan = topology::plan(&admin, &topology).await?;
    if options.json {
        output::json(&plan)?;
    } else {
        output::lines(plan.to_string().lines());
    }
    if plan.is_empty() || options.dry_run {
        return Ok(Exit::Done);
    }
    if !options.yes && !confirm()? {
        output::note("nothing was changed");
        return Ok(Exit::Unfinished);
    }
    topology::apply(&admin, &plan, options.force).await?;
    let left: Plan = topology::plan(&admin, &topology).await?;
    if !left.is_empty() {
        return Err(Failure::new(
            Exit::Exchange,
            "the exchange still differs from the files after the changes; run `slacktide exchange apply --dry-run`",
        ));
    }
    output::note(&format!("{} changes made", plan.changes.len()));
    Ok(Exit::Done)
}

fn read(options: &ApplyOptions) -> Result<Topology, Failure> {
    let files = match &options.dir {
        Some(dir) => topology::load(dir),
        None => {
            let names: Result<Vec<RecipientName>, _> =
                options.recipients.iter().map(RecipientName::new).collect();
            topology::embedded(&names.map_err(|error| Failure::usage(error.to_string()))?)
        }
    };
    files.map_err(|error| Failure::usage(error.to_string()))
}

fn confirm() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard input is not a terminal, so the changes cannot be confirmed; give --yes to apply them, or --dry-run to show them",
        ));
    }
    output::note("make these changes? [y/N]");
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::internal(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Prints the state of the exchange.
pub(crate) async fn status(path: PathBuf, json: bool) -> Outcome {
    let status = topology::status(&admin(&path).await?).await?;
    if json {
        output::json(&status)?;
        return Ok(Exit::Done);
    }
    output::line("STREAM                         MESSAGES         BYTES  FULL  SUBJECTS  LAST STORED");
    for stream in &status.streams {
        let fullness = stream.fullness();
        let full = fullness
            .as_ref()
            .map_or_else(|| "-".to_owned(), |fullness| format!("{} %", fullness.percent()));
        let last = stream
            .last_stored_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        output::line(&format!(
            "{:<27} {:>11} {:>13} {full:>5} {:>9}  {last}",
            stream.name, stream.messages, stream.bytes, stream.subjects
        ));
        if fullness.is_some_and(|fullness| fullness.is_alarming()) {
            output::lines([Line::styled(Style::Alarm, "  ALMOST FULL").and(
                ": raise max_bytes in the file of the stream and run `slacktide exchange apply`; a full stream refuses",
            )]);
        }
        for consumer in &stream.consumers {
            let paused = if consumer.paused { ", paused" } else { "" };
            output::line(&format!(
                "  consumer {}: {} undelivered, {} unacked, {} redelivered{paused}",
                consumer.name, consumer.pending, consumer.ack_pending, consumer.redelivered
            ));
        }
    }
    Ok(Exit::Done)
}

async fn admin(path: &Path) -> Result<Admin, Failure> {
    let loaded: Loaded<PartyFile> = load(path)?;
    let options = loaded.value.exchange.command_options(loaded.folder())?;
    Ok(Admin::new(ExchangeClient::connect(options).await?.into_nats()?))
}
