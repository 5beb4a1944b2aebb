//! What may be asked for.

use clap::Parser;

use crate::report::Subject;

/// Rows a second over the whole path and for each stage alone.
#[derive(Debug, Parser)]
#[command(name = "path")]
pub(crate) struct Arguments {
    /// Rows that are moved, of about 300 bytes each.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
    /// How many `commercial` processes share the work.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pollers: u8,
    /// Measure only these, such as `--only read,whole`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Subject>,
}

/// The same, in the widths that the work wants.
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
    /// How much of each.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            rows: self.rows,
            rounds: usize::from(self.rounds),
            pollers: usize::from(self.pollers),
        }
    }

    /// What is measured, in the order of the first round.
    pub(crate) fn subjects(&self) -> Vec<Subject> {
        let all = Subject::ALL.into_iter();
        all.filter(|subject| self.only.is_empty() || self.only.contains(subject))
            .collect()
    }
}
