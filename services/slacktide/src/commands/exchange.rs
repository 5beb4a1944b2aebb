//! `slacktide exchange apply|status`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use nats::JetStream;
use nats::topology::{self, Admin, Plan, Topology};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::RecipientName;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Style};
use crate::settings::{PartyFile, load};

/// How an apply is wanted.
pub(crate) struct Wish {
    /// The folder; none: the shipped files.
    pub(crate) dir: Option<PathBuf>,
    /// With the shipped files: for whom.
    pub(crate) recipients: Vec<String>,
    /// Without asking.
    pub(crate) yes: bool,
    /// Destructive changes too.
    pub(crate) force: bool,
    /// Nothing at all.
    pub(crate) dry_run: bool,
    /// As data.
    pub(crate) json: bool,
}

/// Shows what differs, then makes it so.
pub(crate) async fn apply(path: PathBuf, wish: Wish) -> Outcome {
    let topology = read(&wish)?;
    let admin = admin(&path).await?;
    let plan = topology::plan(&admin, &topology).await?;
    if wish.json {
        output::json(&plan)?;
    } else {
        output::lines(plan.to_string().lines());
    }
    if plan.is_empty() || wish.dry_run {
        return Ok(Exit::Done);
    }
    if !wish.yes && !agreed()? {
        output::note("nothing was changed");
        return Ok(Exit::Unfinished);
    }
    topology::apply(&admin, &plan, wish.force).await?;
    let left: Plan = topology::plan(&admin, &topology).await?;
    if !left.is_empty() {
        return Err(Failure::new(
            Exit::Exchange,
            "the exchange still differs from the files after the changes; look with `slacktide exchange apply --dry-run`",
        ));
    }
    output::note(&format!("{} changes made", plan.changes.len()));
    Ok(Exit::Done)
}

fn read(wish: &Wish) -> Result<Topology, Failure> {
    let files = match &wish.dir {
        Some(dir) => topology::load(dir),
        None => {
            let names: Result<Vec<RecipientName>, _> =
                wish.recipients.iter().map(RecipientName::new).collect();
            topology::embedded(&names.map_err(|error| Failure::usage(error.to_string()))?)
        }
    };
    files.map_err(|error| Failure::usage(error.to_string()))
}

fn agreed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to be asked; give --yes to make these changes, or --dry-run to only see them",
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

/// Prints what is in the exchange.
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
        for one in &stream.consumers {
            let paused = if one.paused { ", paused" } else { "" };
            output::line(&format!(
                "  consumer {}: {} undelivered, {} unsettled, {} redelivered{paused}",
                one.name, one.pending, one.ack_pending, one.redelivered
            ));
        }
    }
    Ok(Exit::Done)
}

async fn admin(path: &Path) -> Result<Admin, Failure> {
    let loaded: Loaded<PartyFile> = load(path)?;
    let options = loaded.value.exchange.command(loaded.folder())?;
    Ok(Admin::new(JetStream::connect(options).await?))
}
