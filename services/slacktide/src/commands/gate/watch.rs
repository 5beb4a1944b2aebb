//! `slacktide gate watch`: the running gate, live.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use runtime::exit::Exit;
use serde_json::Value;

use super::ask::Agent;
use super::{screen, told};
use crate::cli::Config;
use crate::commands::agent;
use crate::failure::{Failure, Outcome};

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
    Screen { color: bool, width: usize },
}

struct View {
    kind: Kind,
}

impl View {
    fn new(json: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let kind = if json {
            Kind::Json
        } else if io::stdout().is_terminal() && !is_dumb {
            // Another screen, no cursor, no wrapping: the terminal itself cuts what is too wide.
            let _ = write!(io::stdout(), "\x1b[?1049h\x1b[?25l\x1b[?7l");
            let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
            Kind::Screen {
                color: std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty()),
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
        let mut out = io::stdout().lock();
        match (&mut self.kind, told) {
            (Kind::Json, Ok(gate)) => writeln!(out, "{gate}")?,
            (Kind::Json, Err(why)) => writeln!(out, "{}", serde_json::json!({ "error": why.to_string() }))?,
            (Kind::Lines { last, quiet }, told) => {
                let key = told.as_ref().map_or_else(ToString::to_string, |gate| {
                    [told::text(gate, "/state"), told::text(gate, "/reason_kind")].join(" ")
                });
                *quiet += 1;
                if key != *last || *quiet >= QUIET_TICKS {
                    writeln!(
                        out,
                        "{}",
                        told.as_ref().map_or_else(ToString::to_string, screen::line)
                    )?;
                    (*last, *quiet) = (key, 0);
                }
            }
            (Kind::Screen { color, width }, told) => {
                let lines = match told {
                    Ok(gate) => screen::render(gate, *width, *color),
                    Err(why) => vec![why.to_string()],
                };
                for (row, line) in (1_usize..).zip(&lines) {
                    write!(out, "\x1b[{row};1H{line}\x1b[K")?;
                }
                write!(out, "\x1b[J")?;
            }
        }
        out.flush()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Screen { .. }) {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\x1b[?7h\x1b[?25h\x1b[?1049l").and_then(|()| out.flush());
        }
    }
}
