//! Commands that rebuild an insurer's store and compare it.

use clap::Args;
use commercial::rebuild::RebuildEnd;
use schemas::name::{FeedName, PartyName};

use crate::cli::Config;

/// The arguments of `rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// The new store: a SQLite file, a postgres:// URL without a password, or a .toml file with a [store] table.
    #[arg(long, value_name = "STORE")]
    pub(crate) into: String,
    /// The last message that is stored: a sequence of the stream (4711), a time (2026-01-31T22:15:00Z), or with --feed a chunk
    /// (EPOCH.NUMBER). Everything if it is not given.
    #[arg(long, value_name = "SEQUENCE, TIME or CHUNK")]
    pub(crate) to: Option<RebuildEnd>,
    /// The recipient; needed if the site has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: Option<PartyName>,
    /// Only this feed.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<FeedName>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The rebuilt store: a SQLite file, a postgres:// URL without a password, or a .toml file with a [store] table.
    #[arg(long, value_name = "STORE")]
    pub(crate) rebuilt: String,
    /// The live store, named the same way, for example by the insurer's own file.
    #[arg(long, value_name = "STORE")]
    pub(crate) live: String,
    /// Only this feed.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<FeedName>,
    /// Print the values that differ. They are personal data.
    #[arg(long)]
    pub(crate) values: bool,
    /// The maximum number of differing rows that are listed for each feed. All are counted.
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    pub(crate) limit: usize,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
