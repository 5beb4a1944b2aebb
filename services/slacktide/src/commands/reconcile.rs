//! `slacktide reconcile …`: an insurer compares its store with the bureau's core, by digests.
//!
//! - `pass` asks the bureau for digests of a feed's rows, as a data request, and reads its answer
//! - `store_side` computes the digests of the store's rows
//! - `comparing` runs a comparison; `report` is its value
//! - `repair` has the rows that differ sent again; `schedule` repeats comparisons in the agent

mod comparing;
mod pass;
mod repair;
pub(super) mod report;
pub(super) mod schedule;
mod store_side;

use std::sync::Arc;

use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{FeedName, Lane};
use store::StoredRows;

use self::report::{ReconcileReport, workbook};
use super::operator;
use super::request::csv::Cells;
use crate::cli::reconcile::{ReconcileCommand, RunArgs, ShowArgs};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// Runs a command to its end.
pub(crate) async fn run(command: ReconcileCommand) -> Outcome {
    match command {
        ReconcileCommand::Run(args) => compare(args).await,
        ReconcileCommand::Show(args) => show(args).await,
        ReconcileCommand::Repair(args) => repair::run(args).await,
    }
}

/// Opens the store of a file.
async fn open_store(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn StoredRows>, Failure> {
    let store = compose::stored_rows(loaded)?;
    store.prepare().await?;
    Ok(store)
}

fn lane(loaded: &Loaded<CommercialFile>, feed: FeedName) -> Lane {
    Lane {
        recipient: loaded.value.commercial.recipient.clone(),
        feed,
    }
}

async fn compare(args: RunArgs) -> Outcome {
    let actor = operator::actor(args.actor, "asks")?;
    let loaded: Loaded<CommercialFile> = load(&args.pass.config.config)?;
    let store = open_store(&loaded).await?;
    let lane = lane(&loaded, args.pass.feed);
    let compared = comparing::compare(&loaded, store.as_ref(), &lane, &actor, args.pass.timeout.get()).await;
    store.close().await;
    finish(&compared?, args.pass.json)
}

/// Prints a report. Its exit code shows whether core and store are equal.
fn finish(report: &ReconcileReport, json: bool) -> Outcome {
    output::report(report, json)?;
    Ok(exit(report))
}

fn exit(report: &ReconcileReport) -> Exit {
    if report.is_balanced {
        Exit::Done
    } else if report.is_comparable() {
        Exit::Evidence
    } else {
        Exit::Unfinished
    }
}

async fn show(args: ShowArgs) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.config.config)?;
    let store = open_store(&loaded).await?;
    let lane = lane(&loaded, args.feed);
    let last = store.reports_kept(&lane, 1).await;
    store.close().await;
    let Some((_, text)) = last?.into_iter().next() else {
        return Err(Failure::new(
            Exit::Unfinished,
            format!(
                "{lane} was not compared yet: run `slacktide reconcile run {}`",
                lane.feed
            ),
        ));
    };
    let report: ReconcileReport = serde_json::from_str(&text).map_err(|_| {
        Failure::new(
            Exit::Store,
            format!("the last report of {lane} was written by another version: compare again"),
        )
    })?;
    if let Some(path) = &args.xlsx {
        workbook::write(&report, path)?;
    }
    if !args.csv {
        return finish(&report, args.json);
    }
    let cells = Cells {
        spreadsheet: args.spreadsheet,
        is_shown: output::is_terminal(),
    };
    output::exact(&report.findings_csv(cells)?);
    Ok(exit(&report))
}
