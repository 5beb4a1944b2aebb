//! `slacktide status`: both agents and the exchange in one screen.
//!
//! The command shows what the caller's credential may read, so that an operator of either side sees whether the
//! other side is behind, and why.
//!
//! - [`facts`] facts from the configuration, the exchange and the own agent
//! - [`judge`] derives one state for each lane
//! - [`agent_lanes`] the lane states on an agent's own pages and metrics
//! - [`screen`] renders lines and JSON, with [`requests_line`], [`blocklist_line`] and [`ago`]

pub(crate) mod agent_lanes;
pub(crate) mod ago;
mod blocklist_line;
pub(crate) mod facts;
pub(crate) mod judge;
mod requests_line;
pub(super) mod screen;

pub(crate) use screen::{withheld_by, wrapped};

use std::time::Duration;

use clap::Args;
use runtime::exit::Exit;
use schemas::name::FeedName;

use crate::cli::Config;
use crate::commands::agent;
use crate::failure::Outcome;
use crate::output;

/// Shown by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 all is well (flowing, caught up, waiting for slack, held as ordered); 5 the exchange cannot be
reached; 9 a lane is stopped or behind, or the agent does not run; 2 and 3 as everywhere.

Example:
  slacktide status --config config/social.toml --watch";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    config: Config,
    /// Include this feed; for an insurer whose agent does not run. May be given several times.
    #[arg(long, value_name = "NAME")]
    feed: Vec<FeedName>,
    /// The bureau's name at the exchange, for an insurer.
    #[arg(long, value_name = "NAME", default_value = "bureau")]
    bureau: schemas::name::PartyName,
    /// Print as JSON; docs/operate.md describes the format.
    #[arg(long)]
    json: bool,
    /// Refresh every second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Runs the command.
pub(crate) async fn run(args: StatusArgs) -> Outcome {
    let collector = facts::StatusCollector::new(&args.config.config, args.feed.clone(), args.bureau.clone())?;
    if !args.watch {
        let facts = collector.collect(None).await.0;
        let judged = judge::judge_all(&facts);
        if args.json {
            output::json(&screen::json(&facts, &judged))?;
        } else {
            output::lines(screen::lines(&facts, &judged, WIDTH));
        }
        return Ok(exit(&facts, &judged));
    }
    let stop = agent::stop_on_signals()?;
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut connection = None;
    loop {
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
        let written = if args.json {
            output::json_line(&screen::json(&facts, &judged))
        } else {
            output::redraw(&screen::lines(&facts, &judged, WIDTH))
        };
        if written.is_err() {
            return Ok(Exit::Done);
        }
    }
}

/// Columns of the screen.
const WIDTH: usize = 100;

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
