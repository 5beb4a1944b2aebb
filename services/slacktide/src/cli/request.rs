//! Commands about data requests.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use store::requests::RequestState;

use super::Config;

/// The request commands.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// File a request, or a file of requests. Filing twice under one key is one request.
    #[command(
        after_help = "Examples:\n  slacktide request file --kind setl.by_person --arg psn_no=31010004711 --arg from=2026-01-01 --arg to=2026-01-31 --purpose 01 --basis 01 --deadline 2d --config config/commercial.toml\n  slacktide request file --from requests.csv --config config/commercial.toml\n  slacktide request file --kind setl.by_person --arg psn_no=31010004711 --purpose 01 --basis 01 --key claim-7 --out request.bin --config config/commercial.toml"
    )]
    File(FileArgs),
    /// List the requests in this insurer's store, the latest first, without arguments.
    #[command(
        after_help = "Examples:\n  slacktide request list --outcome refused --config config/commercial.toml\n  slacktide request list --state filed --config config/commercial.toml"
    )]
    List(ListArgs),
    /// Show the state of a request, with the time of each step, from the exchange.
    #[command(
        after_help = "Example:\n  slacktide request show 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Show {
        /// The id, or a unique prefix.
        id: String,
        /// Show the arguments, too. They are personal data.
        #[arg(long)]
        personal: bool,
        #[command(flatten)]
        at: At,
    },
    /// Wait until each of these requests has an outcome, and show it. Without ids: until no request is pending, at the
    /// exchange or in this insurer's store.
    #[command(
        after_help = "Example:\n  slacktide request watch 20260131-x7k2m9q4 --config config/commercial.toml"
    )]
    Watch {
        /// The ids, or unique prefixes.
        id: Vec<String>,
        #[command(flatten)]
        at: At,
    },
    /// Ask the bureau not to answer. The first final outcome wins.
    #[command(
        after_help = "Example:\n  slacktide request cancel 20260131-x7k2m9q4 --reason \"settled otherwise\" --config config/commercial.toml"
    )]
    Cancel {
        /// The id, or a unique prefix.
        id: String,
        /// The reason. It is signed and kept; do not name a person in it.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The deciding person. Default: the login name.
        #[arg(long, value_name = "NAME")]
        actor: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Print the verified rows of an answer from the exchange. They are personal data.
    #[command(
        after_help = "Example:\n  slacktide request result 20260131-x7k2m9q4 --format csv --config config/commercial.toml"
    )]
    Result {
        /// The id, or a unique prefix.
        id: String,
        /// The output format.
        #[arg(long, value_enum, default_value_t = ResultFormat::Table)]
        format: ResultFormat,
        /// For a spreadsheet: with --format csv, put an apostrophe before what it would run as a formula.
        #[arg(long)]
        spreadsheet: bool,
        #[command(flatten)]
        config: Config,
    },
}

/// The output format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// For people.
    Table,
    /// One object: outcome, columns, rows.
    Json,
    /// One object for each row, with the columns as keys.
    Jsonl,
    /// With a header; an empty field is null, an empty text is "".
    Csv,
}

/// The configuration file and the output format.
#[derive(Debug, Args)]
pub(crate) struct At {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `request file`.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The kind of request.
    #[arg(long, required_unless_present = "from")]
    pub(crate) kind: Option<String>,
    /// An argument, `name=value` for a text, a date and all others, or `name:=value` for an integer; may be given
    /// several times. Every user of this host can see it: for a person's number use a file.
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(crate) arguments: Vec<String>,
    /// The purpose code.
    #[arg(long, required_unless_present = "from")]
    pub(crate) purpose: Option<String>,
    /// The legal basis code.
    #[arg(long, required_unless_present = "from")]
    pub(crate) basis: Option<String>,
    /// The deadline: a duration such as 2d, or a time with its zone.
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// The key of the request: filing twice under one key is one request. Default: a new one each time.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// File again if the last request under this key was refused, expired, cancelled or failed. If it is pending or
    /// answered, nothing is filed.
    #[arg(long)]
    pub(crate) again: bool,
    /// Write the signed request to this new file and publish nothing, so that another program can POST it to a gateway. Opens no
    /// connection.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "again"])]
    pub(crate) out: Option<PathBuf>,
    /// A file of requests, .jsonl or .csv; invalid lines are written to FILE.rejected.jsonl or .csv, the others are filed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kind", "arguments", "key"])]
    pub(crate) from: Option<PathBuf>,
    /// The requesting person. Default: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    #[command(flatten)]
    pub(crate) at: At,
}

/// The arguments of `request list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this kind.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only this state: kept, filed, `not_filed`, stored, confirmed.
    #[arg(long, value_name = "STATE", value_parser = parse_state)]
    pub(crate) state: Option<RequestState>,
    /// Only this outcome: answered, empty, partial, refused, expired, cancelled, failed.
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Only requests filed at or after this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// The maximum number of requests.
    #[arg(long, default_value_t = 100)]
    pub(crate) most: u32,
    #[command(flatten)]
    pub(crate) at: At,
}

/// An unknown state.
#[derive(Debug, thiserror::Error)]
#[error("give kept, filed, not_filed, stored or confirmed")]
struct BadState;

fn parse_state(word: &str) -> Result<RequestState, BadState> {
    RequestState::of_word(word).ok_or(BadState)
}
