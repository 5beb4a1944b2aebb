//! `slacktide gate watch`: the running gate, live.

use std::io;
use std::time::Duration;

use clap::Args;
use runtime::exit::Exit;
use serde_json::Value;

use super::ask::Agent;
use super::{render, screen};
use crate::cli::Config;
use crate::commands::agent;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Screen};

/// The polling interval.
const TICK: Duration = Duration::from_millis(250);

/// A pipe gets a line at each change, and after this many ticks without one.
const QUIET_TICKS: u32 = 40;

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print the gate's status as one JSON object per poll.
    #[arg(long)]
    json: bool,
}

/// Runs until Ctrl-C, or until the output is closed.
pub(crate) async fn run(args: WatchArgs) -> Outcome {
    let agent = Agent::of(&args.config.config)?;
    let stop = agent::stop_on_signals()?;
    // No agent at the start is an error; the command waits for an agent that restarts later.
    let mut status = Ok(agent.gate().await?);
    let mut view = View::new(args.json);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if view.show(&status).is_err() {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = stop.token().cancelled() => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        status = agent.gate().await;
    }
}

enum Kind {
    Json,
    Lines { last: String, quiet: u32 },
    Screen { screen: Screen, width: usize },
}

struct View {
    kind: Kind,
}

impl View {
    fn new(json: bool) -> Self {
        let kind = if json {
            Kind::Json
        } else if let Some(screen) = Screen::open() {
            let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
            Kind::Screen {
                screen,
                width: columns.unwrap_or(100),
            }
        } else {
            Kind::Lines {
                last: String::new(),
                quiet: 0,
            }
        };
        Self { kind }
    }

    fn show(&mut self, status: &Result<Value, Failure>) -> io::Result<()> {
        match (&mut self.kind, status) {
            (Kind::Json, Ok(gate)) => output::json_line(gate),
            (Kind::Json, Err(why)) => output::json_line(&serde_json::json!({ "error": why.to_string() })),
            (Kind::Lines { last, quiet }, status) => {
                let key = status.as_ref().map_or_else(ToString::to_string, |gate| {
                    [render::text(gate, "/state"), render::text(gate, "/reason_kind")].join(" ")
                });
                *quiet += 1;
                if key == *last && *quiet < QUIET_TICKS {
                    return Ok(());
                }
                (*last, *quiet) = (key, 0);
                output::try_line(&status.as_ref().map_or_else(ToString::to_string, screen::line))
            }
            (Kind::Screen { screen, width }, status) => {
                let lines = match status {
                    Ok(gate) => screen::render(gate, *width),
                    Err(why) => vec![why.to_string().into()],
                };
                screen.draw(&lines)
            }
        }
    }
}
