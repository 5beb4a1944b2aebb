//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::peer::Peer;

/// Measures Slacktide next to `psql COPY | COPY` and logical replication.
#[derive(Debug, Parser)]
#[command(name = "peers")]
pub(crate) struct Arguments {
    /// Number of rows, of about 300 bytes each, and of changes.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) rows: u64,
    /// Number of rounds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub(crate) rounds: u8,
    /// Measure only this workload.
    #[arg(long, value_enum)]
    only: Option<Workload>,
    /// Serve a gateway from this folder; how this program starts its own.
    #[arg(long, hide = true)]
    pub(crate) serve_gateway: Option<PathBuf>,
}

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Workload {
    /// All rows of a table, to a receiver without any.
    Initial,
    /// Changes of a table, to a receiver that has its earlier rows.
    Changes,
}

impl Arguments {
    /// Returns the measured workloads.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        match self.only {
            Some(only) => vec![only],
            None => vec![Workload::Initial, Workload::Changes],
        }
    }
}

impl Workload {
    /// Returns the name in tables and files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Changes => "changes",
        }
    }

    /// Returns the tools that can do it.
    pub(crate) fn peers(self) -> &'static [Peer] {
        match self {
            Self::Initial => &[Peer::Copy, Peer::Logical, Peer::Nats, Peer::Https],
            Self::Changes => &[Peer::Logical, Peer::Nats, Peer::Https],
        }
    }
}
