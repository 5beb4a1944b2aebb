//! `slacktide status`: both agents and the exchange in one screen.
//!
//! The command shows what the caller's credential may read, so that an operator of either side sees whether the
//! other side is behind, and why.
//!
//! - [`facts`] facts from the configuration, the exchange and the own agent
//! - [`judge`] derives one state for each lane
//! - [`agent_lanes`] the lane states on an agent's own pages and metrics
//! - [`published`] what agents published at the exchange
//! - [`report`] the value of the command; [`screen`] renders it for people, with [`requests_line`], [`blocklist_line`] and [`ago`]

pub(crate) mod agent_lanes;
pub(crate) mod ago;
mod blocklist_line;
pub(crate) mod facts;
pub(crate) mod judge;
pub(super) mod published;
pub(super) mod report;
mod requests_line;
mod screen;

pub(crate) use screen::withheld_by;

use std::time::Duration;

use runtime::exit::Exit;

use crate::cli::status::StatusArgs;
use crate::commands::agent;
use crate::failure::Outcome;
use crate::output::{self, Live, Report, View};
use report::StatusReport;

/// Runs the command.
pub(crate) async fn run(args: StatusArgs) -> Outcome {
    if args.published {
        return published::run(&args.config.config, args.json).await;
    }
    let collector = facts::StatusCollector::new(&args.config.config, args.feed.clone(), args.bureau.clone())?;
    if args.watch {
        return watch(&collector, args.json).await;
    }
    let facts = collector.collect(None).await.0;
    let judged = judge::judge_all(&facts);
    output::report(&StatusReport::new(&facts, &judged), args.json)?;
    Ok(exit(&facts, &judged))
}

/// A pipe gets the states of all lanes after this many refreshes without a change.
const QUIET_REFRESHES: u32 = 60;

/// Refreshes until a signal, or until the output is closed.
async fn watch(collector: &facts::StatusCollector, json: bool) -> Outcome {
    let stop = agent::stop_on_signals()?;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut connection, mut live) = (None, Live::new());
    let (mut before, mut quiet): (Option<Vec<judge::JudgedLane>>, u32) = (None, 0);
    while !output::is_closed() {
        tokio::select! {
            () = stop.token().cancelled() => return Ok(Exit::Done),
            _ = tick.tick() => {}
        }
        let (facts, kept) = tokio::select! {
            () = stop.token().cancelled() => return Ok(Exit::Done),
            found = collector.collect(connection.take()) => found,
        };
        connection = kept;
        let judged = judge::judge_all(&facts);
        let report = StatusReport::new(&facts, &judged);
        if json {
            output::report_line(&report, true)?;
        } else {
            let history = match &before {
                // Without a live screen, the first one is the beginning of the history.
                None if !live.is_redrawable() => report.view(),
                None => View::new(),
                // A pipe gets all lanes now and then, which also shows whether it is still read.
                Some(_) if !live.is_redrawable() && quiet >= QUIET_REFRESHES => {
                    screen::changes(&[], &judged, &facts)
                }
                Some(before) => screen::changes(before, &judged, &facts),
            };
            quiet = if history.is_empty() { quiet + 1 } else { 0 };
            live.draw(&history, &report.view());
        }
        before = Some(judged);
    }
    Ok(Exit::Done)
}

fn exit(facts: &facts::Facts, judged: &[judge::JudgedLane]) -> Exit {
    if facts.exchange.error.is_some() {
        return Exit::Exchange;
    }
    let well = judged.iter().all(|lane| lane.state.is_well());
    if well && facts.agent.is_well() {
        Exit::Done
    } else {
        Exit::Unfinished
    }
}
