//! The parties of the exchange, on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// List the parties, and the account files that differ from the list.
    #[command(after_help = "Example:\n  slacktide exchange party list --dir nats")]
    List {
        /// The folder that holds server.conf and parties.toml.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Add a party: its account, its permissions and, for a recipient, its consumers.
    #[command(
        after_help = "Examples:\n  slacktide exchange party add insurer-b --dir nats --dry-run\n  slacktide exchange party add insurer-b --dir nats --key \"$(cat insurer-b/connect.pub)\""
    )]
    Add {
        /// The name of the party, which its configuration gives as `[exchange] user`.
        name: String,
        /// The role of the party, which defines its permissions.
        #[arg(long, value_enum, default_value = "recipient")]
        role: PartyRole,
        /// The connection key (connect.pub, U…), or $NAME of a variable in the server's environment.
        /// Default: the variable $SLACKTIDE_NAME_NKEY, with the name of the party in capitals.
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        #[command(flatten)]
        at: AccountDir,
    },
    /// Remove a party: its account and its permissions. Its messages and consumers stay.
    #[command(after_help = "Example:\n  slacktide exchange party remove insurer-b --dir nats")]
    Remove {
        /// The name of the party.
        name: String,
        #[command(flatten)]
        at: AccountDir,
    },
    /// Change the connection keys of a party: add the new one, later remove the old one.
    #[command(
        after_help = "Examples:\n  slacktide exchange party key bureau --add \"$(cat next/connect.pub)\" --dir nats\n  slacktide exchange party key bureau --remove '$SLACKTIDE_BUREAU_NKEY' --dir nats"
    )]
    Key {
        /// The name of the party.
        name: String,
        /// Admit this connection key, too.
        #[arg(long, value_name = "KEY")]
        add: Option<String>,
        /// Refuse this connection key from now on.
        #[arg(long, value_name = "KEY", required_unless_present = "add")]
        remove: Option<String>,
        #[command(flatten)]
        at: AccountDir,
    },
    /// Write the account files again from parties.toml, as after an upgrade.
    #[command(after_help = "Example:\n  slacktide exchange party write --dir nats")]
    Write {
        #[command(flatten)]
        at: AccountDir,
    },
}

/// The folder of the account files, and options for writing them.
#[derive(Debug, Args)]
pub(crate) struct AccountDir {
    /// The folder that holds server.conf and parties.toml.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Reload the server with this process id afterwards (SIGHUP); twice if an account is new.
    #[arg(long, value_name = "PID")]
    pub(crate) reload: Option<i32>,
}

/// The role of a party.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PartyRole {
    /// An insurer: receives chunks, files requests.
    Recipient,
    /// Reads the audit evidence.
    Auditor,
}
