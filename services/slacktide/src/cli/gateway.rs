//! Commands of the gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use runtime::span::Span;
use schemas::name::{PartyName, RecipientName};
use schemas::sign::PublicKey;

use super::Config;

#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Serve the exchange over HTTPS until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  slacktide gateway run --config config/gateway.toml")]
    Run(Config),
    /// Check the file, its keys and its tokens; open no connection.
    Check(Config),
    /// Create, list and revoke bearer tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create the profile of a reader without an agent.
    #[command(subcommand)]
    Profile(ProfileCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token of a party. It is printed once and stored nowhere.
    #[command(
        after_help = "Examples:\n  slacktide gateway token new --party insurer-a --expires 90d --note \"nightly import\" --config config/gateway.toml\n  slacktide gateway token new --party bureau --console operator --expires 30d --config config/gateway.toml"
    )]
    New {
        /// The party of the configuration that it authenticates.
        #[arg(long, value_name = "NAME")]
        party: PartyName,
        /// Make a token that opens the console in place of the interface, for a person with this role.
        #[arg(long, value_name = "ROLE", value_enum)]
        console: Option<ConsoleRoleName>,
        #[command(flatten)]
        terms: TokenTerms,
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the tokens, without their text.
    #[command(after_help = "Example:\n  slacktide gateway token list --config config/gateway.toml")]
    List {
        #[command(flatten)]
        config: Config,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token. A running gateway refuses it from the next request on.
    #[command(
        after_help = "Example:\n  slacktide gateway token revoke 7f3a9c01 --config config/gateway.toml"
    )]
    Revoke {
        /// The id, as `token list` shows it.
        id: String,
        #[command(flatten)]
        config: Config,
    },
}

/// The terms of a token.
#[derive(Debug, Args)]
pub(crate) struct TokenTerms {
    /// Time until it expires, for example 12h or 90d.
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub(crate) expires: Span,
    /// What it is for. It is shown by `token list`; do not name a person in it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
}

/// What a person may do in the console.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ConsoleRoleName {
    /// Sees the pages.
    Viewer,
    /// Also prepares commands.
    Operator,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Create a token of a recipient, and a file with all that a reader needs: address, token, authorities, trusted keys.
    #[command(
        after_help = "Example:\n  slacktide gateway profile new --recipient insurer-a --endpoint https://gateway.example:8443 --ca ca.pem --trust AAXC… --out reader.json --config config/gateway.toml"
    )]
    New(ProfileArgs),
}

/// The arguments of `profile new`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The recipient of the configuration that the reader belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: RecipientName,
    /// The address of the gateway as the reader reaches it: https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: String,
    /// The authorities that signed the gateway's certificate, PEM. Default: those of the reader's system.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// A key that signs chunks and answers (A…), the bureau's sign.pub; may be given several times.
    #[arg(long, value_name = "KEY", value_parser = PublicKey::new)]
    pub(crate) trust: Vec<PublicKey>,
    #[command(flatten)]
    pub(crate) terms: TokenTerms,
    /// The file to create. It contains the token.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) config: Config,
}
