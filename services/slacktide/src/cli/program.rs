//! The program: what all commands have in common, and which there are.

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use runtime::telemetry::LogFormat;

use super::{
    AgentCommand, AuditCommand, Config, ConfigCommand, DemoArgs, DemoLoadArgs, ExchangeCommand, GateCommand,
    HelperCommand,
};

/// Moves records out of a busy system of record only while it has slack.
#[derive(Debug, Parser)]
#[command(
    name = "slacktide",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "\
Exit codes: 0 done, 2 usage or configuration, 3 denied, 4 source, 5 exchange, 6 store, 7 evidence does not hold,
8 host never idle, 9 unfinished, 70 a fault of the program.

Example: see all of it on this machine in about a minute:
  slacktide demo"
)]
pub(crate) struct Cli {
    /// How log lines on standard error look.
    #[arg(long, global = true, value_enum, default_value_t = Format::Auto, env = "SLACKTIDE_LOG_FORMAT")]
    pub(crate) log_format: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The form of log lines.
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
    /// The bureau's agent: publishes rows while the core has slack.
    #[command(subcommand)]
    Social(AgentCommand),
    /// The insurer's agent: polls, stores, and signs for it. As many as you like.
    #[command(subcommand)]
    Commercial(AgentCommand),
    /// Streams and consumers of the exchange, for the administrator.
    #[command(subcommand)]
    Exchange(ExchangeCommand),
    /// Looks at a configuration file without using it.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Keys and certificates: a party's, or a whole test site's.
    #[command(subcommand)]
    Keys(crate::commands::keys::KeysCommand),
    /// Says what is wrong before anything is touched, and how to mend it.
    #[command(after_help = "Example:\n  slacktide doctor --config config/social.toml")]
    Doctor {
        #[command(flatten)]
        config: Config,
        /// Checks files and keys only; opens no connection.
        #[arg(long)]
        offline: bool,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Asks the agent of a configuration whether it does its work: exit code 0 when it does.
    Health(Config),
    /// Both agents and the exchange in one screen: which side is behind, what is stopped, what to do.
    #[command(after_help = crate::commands::status::EXIT_CODES)]
    Status(crate::commands::status::StatusArgs),
    /// Looks at feeds, and the operator's way on after a stop.
    #[command(subcommand)]
    Feed(crate::commands::feed::FeedCommand),
    /// Keeps a recipient's, a feed's or a person's rows back, until it is released. Signed and audited.
    #[command(subcommand)]
    Hold(crate::commands::hold::HoldCommand),
    /// Show and confirm the control record that agents obey.
    #[command(subcommand)]
    Orders(crate::commands::orders::OrdersCommand),
    /// What could not be opened, stored or carried: looks at it, retries it, gives it up.
    #[command(subcommand)]
    Quarantine(crate::commands::quarantine::QuarantineCommand),
    /// For the receiver: which store is the right one, and answers that it lost.
    #[command(subcommand)]
    Store(crate::commands::store::StoreCommand),
    /// What the insurer asks of the bureau, and what came of it.
    #[command(subcommand)]
    Request(crate::commands::request::RequestCommand),
    /// Officers of the bureau decide about requests that wait for them.
    #[command(subcommand)]
    Approvals(crate::commands::approvals::ApprovalsCommand),
    /// Persons about whom nothing is sent: takes a list, shows how it stands.
    #[command(subcommand)]
    Blocklist(crate::commands::blocklist::BlocklistCommand),
    /// What recipients see of rows.
    #[command(subcommand)]
    Masking(crate::commands::masking::MaskingCommand),
    /// When the core may be read: looks at the gate, and orders it.
    #[command(subcommand)]
    Gate(GateCommand),
    /// Reads and checks the live streams with a credential that can only read.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Puts the agent's own database backend into the kernel's idle class. Root; off unless installed.
    #[command(subcommand)]
    IdleHelper(HelperCommand),
    /// Prints a completion script for a shell.
    #[command(after_help = "Example:\n  slacktide completions bash > /etc/bash_completion.d/slacktide")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Shows all of it on this machine: a core under load, the exchange, two pollers, a report.
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
    fn the_command_line_is_whole() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_rewind_needs_an_actor_and_a_reason() {
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
        let whole = words.iter().chain(&["--actor", "a", "--reason", "b"]);
        assert!(Cli::try_parse_from(whole.clone()).is_ok());
        // From somewhere, or accepting where it stands; not both.
        assert!(Cli::try_parse_from(whole.chain(&["--accept"])).is_err());
    }
}
