//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::report::Subject;
use crate::settings::Transport;

/// Measures rows per second over the whole path and for each stage alone.
#[derive(Debug, Parser)]
#[command(name = "path")]
pub(crate) struct Arguments {
    /// Number of rows, of about 300 bytes each.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// Number of rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
    /// Number of `commercial` processes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pollers: u8,
    /// Measure the whole path over this transport too, and compare it with NATS.
    #[arg(long, value_enum, default_value_t = Transport::Nats)]
    transport: Transport,
    /// Serve a gateway from this folder; how this program starts its own.
    #[arg(long, hide = true)]
    pub(crate) serve_gateway: Option<PathBuf>,
    /// Measure only these, such as `--only read,whole`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Subject>,
}

/// The counts as the types that the stages need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Rows.
    pub(crate) rows: u64,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Pollers.
    pub(crate) pollers: usize,
}

impl Arguments {
    /// Returns the counts.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            rows: self.rows,
            rounds: usize::from(self.rounds),
            pollers: usize::from(self.pollers),
        }
    }

    /// Returns the subjects in the order of the first round.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let all = Subject::ALL.into_iter();
        all.filter(|subject| self.only.is_empty() || self.only.contains(subject))
            .chain((self.transport == Transport::Https).then_some(Subject::Https))
            .collect()
    }
}
