//! The demo, and its business load.

use std::path::PathBuf;

use clap::Args;

/// The demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Minimum number of rows in the core at the start.
    #[arg(long, default_value_t = 220_000)]
    pub(crate) rows: u64,
    /// Duration of the business load, in seconds.
    #[arg(long, default_value_t = 40)]
    pub(crate) seconds: u64,
    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Keep everything running at the end, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Use and keep this folder; it must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The seed of the data.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The business load of the demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoLoadArgs {
    /// The core.
    #[arg(long)]
    pub(crate) core: PathBuf,
    /// Duration in seconds.
    #[arg(long)]
    pub(crate) seconds: u64,
    /// The seed of the data.
    #[arg(long)]
    pub(crate) seed: u64,
}
