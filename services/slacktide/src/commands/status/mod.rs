//! `slacktide status`: both agents and the exchange in one screen.
//!
//! Whoever asks sees what their credential may see, so that an operator of either side sees whether the
//! other one is behind, and why.
//!
//! - [`facts`] what the configuration, the exchange and the own agent tell
//! - [`judge`] PURE: one state for each lane
//! - [`own`] the same for an agent's own pages and metrics
//! - [`screen`] PURE: the lines; [`asked`] the one about requests, [`listed`] the one about the block list; [`ago`] times as people say them

pub(crate) mod ago;
mod asked;
pub(crate) mod facts;
pub(crate) mod judge;
mod listed;
pub(crate) mod own;
pub(super) mod screen;

pub(crate) use screen::{keeper, wrapped};

use std::time::Duration;

use clap::Args;
use runtime::exit::Exit;
use schemas::name::FeedName;

use crate::cli::Config;
use crate::commands::agent;
use crate::failure::Outcome;
use crate::output;

/// Said by `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 all is well (flowing, caught up, waiting for slack, held as ordered); 5 the exchange cannot be
reached; 9 a lane is stopped or behind, or the agent does not run; 2 and 3 as everywhere.

Example:
  slacktide status --config config/social.toml --watch";

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    config: Config,
    /// Also this feed; for an insurer whose agent does not run. May be given several times.
    #[arg(long, value_name = "NAME")]
    feed: Vec<FeedName>,
    /// The bureau's name at the exchange, for an insurer.
    #[arg(long, value_name = "NAME", default_value = "bureau")]
    bureau: schemas::name::PartyName,
    /// Prints it as JSON; see docs/operate.md for its form.
    #[arg(long)]
    json: bool,
    /// Shows it again each second, until Ctrl-C.
    #[arg(long)]
    watch: bool,
}

/// Runs it.
pub(crate) async fn run(args: StatusArgs) -> Outcome {
    let seen_by = facts::SeenBy::new(&args.config.config, args.feed.clone(), args.bureau.clone())?;
    if !args.watch {
        let facts = seen_by.look(None).await.0;
        let judged = judge::all(&facts);
        if args.json {
            output::json(&screen::json(&facts, &judged))?;
        } else {
            output::lines(screen::lines(&facts, &judged, WIDTH));
        }
        return Ok(exit(&facts, &judged));
    }
    let stop = agent::stop()?;
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
            found = seen_by.look(connection.take()) => found,
        };
        connection = kept;
        let judged = judge::all(&facts);
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

fn exit(facts: &facts::Facts, judged: &[judge::Judged]) -> Exit {
    if facts.exchange.trouble.is_some() {
        return Exit::Exchange;
    }
    let well = judged.iter().all(|lane| lane.state.is_well());
    if well && facts.agent.is_well() {
        Exit::Done
    } else {
        Exit::Unfinished
    }
}
