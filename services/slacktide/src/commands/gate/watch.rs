//! `slacktide gate watch`: the running gate, live.

use std::io;
use std::time::Duration;

use clap::Args;
use runtime::exit::Exit;
use serde_json::Value;

use super::ask::Agent;
use super::{screen, told};
use crate::cli::Config;
use crate::commands::agent;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Screen};

/// How often the agent is asked.
const TICK: Duration = Duration::from_millis(250);

/// A pipe gets a line at each change, and after so many ticks without one.
const QUIET_TICKS: u32 = 40;

/// Its words.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Prints the gate's status as one JSON object for each look.
    #[arg(long)]
    json: bool,
}

/// Runs it until Ctrl-C, or until nobody reads any more.
pub(crate) async fn run(args: WatchArgs) -> Outcome {
    let agent = Agent::of(&args.config.config)?;
    let stop = agent::stop()?;
    // Nobody there at the start is an error; an agent that restarts later is waited for.
    let mut told = Ok(agent.gate().await?);
    let mut view = View::new(args.json);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if view.show(&told).is_err() {
            return Ok(Exit::Done);
        }
        tokio::select! {
            () = stop.token().cancelled() => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        told = agent.gate().await;
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

    fn show(&mut self, told: &Result<Value, Failure>) -> io::Result<()> {
        match (&mut self.kind, told) {
            (Kind::Json, Ok(gate)) => output::json_line(gate),
            (Kind::Json, Err(why)) => output::json_line(&serde_json::json!({ "error": why.to_string() })),
            (Kind::Lines { last, quiet }, told) => {
                let key = told.as_ref().map_or_else(ToString::to_string, |gate| {
                    [told::text(gate, "/state"), told::text(gate, "/reason_kind")].join(" ")
                });
                *quiet += 1;
                if key == *last && *quiet < QUIET_TICKS {
                    return Ok(());
                }
                (*last, *quiet) = (key, 0);
                output::try_line(&told.as_ref().map_or_else(ToString::to_string, screen::line))
            }
            (Kind::Screen { screen, width }, told) => {
                let lines = match told {
                    Ok(gate) => screen::render(gate, *width),
                    Err(why) => vec![why.to_string().into()],
                };
                screen.draw(&lines)
            }
        }
    }
}
