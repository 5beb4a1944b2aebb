//! `slacktide gate watch`: the running gate, live.

use std::time::Duration;

use jiff::Timestamp;
use runtime::exit::Exit;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::ask::Agent;
use super::{render, screen};
use crate::cli::gate::WatchArgs;
use crate::commands::agent;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Live, Report, View};

/// The polling interval.
const TICK: Duration = Duration::from_millis(250);

/// A pipe gets a line at each change, and after this many ticks without one.
const QUIET_TICKS: u32 = 40;

/// The changes before the start that are shown.
const HISTORY: usize = 8;

/// Runs until Ctrl-C, or until the output is closed.
pub(crate) async fn run(args: WatchArgs) -> Outcome {
    let agent = Agent::of(&args.config.config)?;
    let stop = agent::stop_on_signals()?;
    // No agent at the start is an error; the command waits for an agent that restarts later.
    let mut status = Ok(agent.gate().await?);
    let mut view = Watched::new(args.json);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !output::is_closed() {
        view.show(&status)?;
        tokio::select! {
            () = stop.token().cancelled() => return Ok(Exit::Done),
            _ = ticks.tick() => {}
        }
        status = agent.gate().await;
    }
    Ok(Exit::Done)
}

/// The gate's status at one poll.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gate watch")]
pub(in crate::commands) struct GateReport {
    /// The `gate` object of the agent's status page, as the agent serves it; `null` if no agent answers.
    gate: Option<Value>,
    /// Why there is no status.
    error: Option<String>,
}

impl GateReport {
    pub(in crate::commands) fn new(status: &Result<Value, Failure>) -> Self {
        Self {
            gate: status.as_ref().ok().cloned(),
            error: status.as_ref().err().map(ToString::to_string),
        }
    }
}

impl Report for GateReport {
    fn view(&self) -> View {
        let mut view = View::new();
        match (&self.gate, &self.error) {
            (Some(gate), _) => view.line(screen::line(gate)),
            (None, error) => view.line(error.as_deref().unwrap_or_default()),
        };
        view
    }
}

enum Kind {
    Json,
    Lines {
        last: String,
        quiet: u32,
    },
    Screen {
        live: Live,
        shown_until: Option<Timestamp>,
    },
}

struct Watched {
    kind: Kind,
}

impl Watched {
    fn new(json: bool) -> Self {
        let live = Live::new();
        let kind = if json {
            Kind::Json
        } else if live.is_redrawable() {
            Kind::Screen {
                live,
                shown_until: None,
            }
        } else {
            Kind::Lines {
                last: String::new(),
                quiet: 0,
            }
        };
        Self { kind }
    }

    fn show(&mut self, status: &Result<Value, Failure>) -> Result<(), Failure> {
        match (&mut self.kind, status) {
            (Kind::Json, status) => return output::report_line(&GateReport::new(status), true),
            (Kind::Lines { last, quiet }, status) => {
                let key = status.as_ref().map_or_else(ToString::to_string, |gate| {
                    [render::text(gate, "/state"), render::text(gate, "/reason_kind")].join(" ")
                });
                *quiet += 1;
                if key == *last && *quiet < QUIET_TICKS {
                    return Ok(());
                }
                (*last, *quiet) = (key, 0);
                output::view(&GateReport::new(status).view());
            }
            (Kind::Screen { live, shown_until }, Ok(gate)) => {
                live.draw(
                    &screen::history(gate, *shown_until, HISTORY),
                    &screen::render(gate),
                );
                *shown_until = screen::last_change(gate).max(*shown_until);
            }
            (Kind::Screen { live, .. }, Err(why)) => {
                let mut view = View::new();
                view.line(why.to_string());
                live.draw(&View::new(), &view);
            }
        }
        Ok(())
    }
}
