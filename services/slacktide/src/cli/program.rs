//! The program: global options and the list of commands.

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use runtime::telemetry::LogFormat;

use super::{
    AgentCommand, AuditCommand, Config, ConfigCommand, DemoArgs, DemoLoadArgs, ExchangeCommand, FrontCommand,
    GateCommand, GatewayCommand,
};

/// Move records out of a busy system of record while it has slack.
#[derive(Debug, Parser)]
#[command(
    name = "slacktide",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done, 2 usage or configuration, 3 denied, 4 source, 5 exchange, 6 store, 7 evidence is not valid,
8 host never idle, 9 unfinished, 10 request not answered, 11 request already has its outcome, 12 port in use,
70 internal error.

Example: run the whole system on this machine for about a minute:
  slacktide demo"
)]
pub(crate) struct Cli {
    /// Format of log lines on standard error.
    #[arg(long, global = true, value_enum, default_value_t = Format::Auto, env = "SLACKTIDE_LOG_FORMAT")]
    pub(crate) log_format: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Auto => Self::Auto,
            Format::Human => Self::Human,
            Format::Json => Self::Json,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run or check the bureau's agent, which publishes rows while the core has slack.
    #[command(subcommand)]
    Social(AgentCommand),
    /// Run or check the insurer's agent, which stores chunks and signs receipts. Several may run.
    #[command(subcommand)]
    Commercial(AgentCommand),
    /// Manage streams, consumers and parties of the exchange, as the administrator.
    #[command(subcommand)]
    Exchange(ExchangeCommand),
    /// Check or show a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Create keys and certificates of a party or of a test site.
    #[command(subcommand)]
    Keys(super::keys::KeysCommand),
    /// Check configuration and connectivity without changing the core or the exchange.
    #[command(after_help = "Example:\n  slacktide doctor --config config/social.toml")]
    Doctor {
        #[command(flatten)]
        config: Config,
        /// Check files and keys only; open no connection.
        #[arg(long)]
        offline: bool,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the health of the running agent: exit code 0 if it works.
    Health(Config),
    /// Show both agents and the exchange: which side is behind, what is stopped, and the remedy.
    #[command(after_help = super::status::EXIT_CODES)]
    Status(super::status::StatusArgs),
    /// Show feeds, and restart them after a stop.
    #[command(subcommand)]
    Feed(super::feed::FeedCommand),
    /// For the receiver: compare the rows of the store with the core by digests, and repair the store.
    #[command(subcommand)]
    Reconcile(super::reconcile::ReconcileCommand),
    /// Withhold a recipient's, a feed's or a person's rows until released. Signed and audited.
    #[command(subcommand)]
    Hold(super::hold::HoldCommand),
    /// Show and confirm the control record that agents obey.
    #[command(subcommand)]
    Orders(super::orders::OrdersCommand),
    /// Show, retry or discard what could not be decrypted, stored or published.
    #[command(subcommand)]
    Quarantine(super::quarantine::QuarantineCommand),
    /// For the receiver: accept a store, and refill lost answers.
    #[command(subcommand)]
    Store(super::store::StoreCommand),
    /// File data requests to the bureau, and show their outcomes.
    #[command(subcommand)]
    Request(super::request::RequestCommand),
    /// Approve or refuse data requests, as an officer of the bureau.
    #[command(subcommand)]
    Approvals(super::approvals::ApprovalsCommand),
    /// Import and show the list of persons about whom nothing is sent.
    #[command(subcommand)]
    Blocklist(super::blocklist::BlocklistCommand),
    /// Preview masked rows.
    #[command(subcommand)]
    Masking(super::masking::MaskingCommand),
    /// Show and control the gate, which decides when the core may be read.
    #[command(subcommand)]
    Gate(GateCommand),
    /// Run the HTTP gateway, and manage its tokens and profiles.
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// Run exchange and gateway as one front-end machine.
    #[command(subcommand)]
    Front(FrontCommand),
    /// Read and verify the streams with a read-only credential.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  slacktide completions bash > /etc/bash_completion.d/slacktide")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Run the whole system on this machine: a core under load, the exchange, two pollers, a report.
    Demo(DemoArgs),
    /// The business load of the demo.
    #[command(hide = true)]
    DemoLoad(DemoLoadArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rewind_needs_an_actor_and_a_reason() {
        let words = [
            "slacktide",
            "feed",
            "rewind",
            "setl",
            "--recipient",
            "a",
            "--from",
            "receipt",
            "--config",
            "f",
        ];
        assert!(Cli::try_parse_from(words).is_err());
        let complete = words.iter().chain(&["--actor", "a", "--reason", "b"]);
        assert!(Cli::try_parse_from(complete.clone()).is_ok());
        // --from and --accept exclude each other.
        assert!(Cli::try_parse_from(complete.chain(&["--accept"])).is_err());
    }
}
