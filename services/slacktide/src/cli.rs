//! What may be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use jiff::Timestamp;
use runtime::span::Span;
use runtime::telemetry::LogFormat;

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

/// The configuration file.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// The TOML file; samples are under config/.
    #[arg(long, value_name = "FILE", env = "SLACKTIDE_CONFIG")]
    pub(crate) config: PathBuf,
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
    /// What could not be opened, stored or carried: looks at it, retries it, gives it up.
    #[command(subcommand)]
    Quarantine(crate::commands::quarantine::QuarantineCommand),
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

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Runs until SIGTERM or SIGINT.
    #[command(after_help = "Example:\n  slacktide social run --config config/social.toml")]
    Run(Config),
    /// Checks the file and the keys it names; opens no connection.
    Check(Config),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HelperCommand {
    /// Serves on a Unix socket until SIGTERM or SIGINT; moves no process but exactly the asker's own backend.
    #[command(after_help = "Example:\n  slacktide idle-helper run --config /etc/slacktide/idle-helper.toml")]
    Run(Config),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExchangeCommand {
    /// Makes streams and consumers as the files say, after showing what differs.
    #[command(
        after_help = "Examples:\n  slacktide exchange apply --config config/admin.toml --dir nats/ --dry-run\n  slacktide exchange apply --config config/admin.toml --recipient insurer-a --yes"
    )]
    Apply {
        #[command(flatten)]
        config: Config,
        /// The folder that holds streams/ and consumers/. Left out: the files shipped in this program.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// With the shipped files: for whom consumers are made. May be given several times.
        #[arg(
            long,
            value_name = "NAME",
            default_value = "insurer-a",
            conflicts_with = "dir"
        )]
        recipient: Vec<String>,
        /// Does it without asking.
        #[arg(long)]
        yes: bool,
        /// Makes changes that could destroy something, too.
        #[arg(long)]
        force: bool,
        /// Shows what differs and changes nothing.
        #[arg(long)]
        dry_run: bool,
        /// Prints the changes as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows streams and consumers with what they hold.
    #[command(after_help = "Example:\n  slacktide exchange status --config config/admin.toml")]
    Status {
        #[command(flatten)]
        config: Config,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Checks a file of any kind; its tables tell which.
    #[command(after_help = "Example:\n  slacktide config check --config config/commercial.toml")]
    Check(Config),
    /// Prints the effective values: defaults filled in, overrides marked, secrets left out.
    Show {
        #[command(flatten)]
        config: Config,
        /// Prints them as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// An order's words, common to all orders.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Why. It is signed and kept.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// How long it holds, for example 90s, 15m or 2h. Left out: until `gate resume`.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Span>,
    /// Who decides. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    pub(crate) actor: Option<String>,
    /// Prints what is in force as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Shows the running gate, live: signals, limits, verdict, reason, duty, next check, history.
    #[command(after_help = "Example:\n  slacktide gate watch --config config/social.toml")]
    Watch(crate::commands::gate::watch::WatchArgs),
    /// Says in a sentence why the gate stands as it does now.
    #[command(after_help = "Example:\n  slacktide gate explain --config config/social.toml")]
    Explain(crate::commands::gate::explain::ExplainArgs),
    /// Shuts the gate, over the exchange, until it is taken back or its time is over. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate pause --config config/social.toml --reason \"year end closing\" --for 2h"
    )]
    Pause(OrderArgs),
    /// Takes pauses and limits back. The gate then opens when the core has slack, not before.
    #[command(
        after_help = "Example:\n  slacktide gate resume --config config/social.toml --reason \"closing is done\""
    )]
    Resume(OrderArgs),
    /// Bounds the share of the time that is worked. Signed and audited.
    #[command(
        after_help = "Example:\n  slacktide gate limit --config config/social.toml --duty 20% --reason \"audit week\" --for 8h"
    )]
    Limit {
        #[command(flatten)]
        order: OrderArgs,
        /// At most this share of the time, in percent: `20%` or `20`.
        #[arg(long, value_name = "PERCENT")]
        duty: String,
    },
    /// Says what another policy would have done with recorded samples.
    Simulate(crate::commands::gate::simulate::SimulateArgs),
    /// Says from the recorded history when a backlog will be through.
    Forecast(crate::commands::gate::forecast::ForecastArgs),
}

/// The streams that an auditor reads.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StreamName {
    /// Chunks.
    Data,
    /// Receipts.
    Receipts,
    /// Data requests.
    Requests,
    /// Wishes to cancel them.
    Cancels,
    /// What officers decided about them.
    Approvals,
    /// How they stand while they wait; the last word of each.
    Progress,
    /// Parts of their answers.
    Parts,
    /// Their outcomes.
    Replies,
    /// What the recipients stored of them.
    Confirms,
    /// Acts of people and agents.
    Audit,
}

/// A part of a stream.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// From this sequence on.
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "since")]
    pub(crate) from: Option<u64>,
    /// Up to this sequence, itself included.
    #[arg(long, value_name = "SEQUENCE")]
    pub(crate) to: Option<u64>,
    /// From this time on, for example 2026-01-31T08:00:00+08:00.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// Only this recipient's.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: Option<String>,
    /// Only this feed's.
    #[arg(long, value_name = "NAME")]
    pub(crate) feed: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prints messages as JSON lines: manifests, or rows.
    #[command(
        after_help = "Example:\n  slacktide audit replay --config config/auditor.toml --feed setl --rows"
    )]
    Replay {
        #[command(flatten)]
        config: Config,
        /// Which stream.
        #[arg(long, value_enum, default_value_t = StreamName::Data)]
        stream: StreamName,
        #[command(flatten)]
        part: Part,
        /// Prints the rows of chunks instead of manifests. They hold personal data.
        #[arg(long)]
        rows: bool,
    },
    /// Checks signatures, links, numbers and totals, and names the first fault of each feed.
    #[command(after_help = "Example:\n  slacktide audit verify --config config/auditor.toml")]
    Verify {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        part: Part,
        /// Prints the findings as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The demo.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Rows in the core at the start, at least.
    #[arg(long, default_value_t = 220_000)]
    pub(crate) rows: u64,
    /// How long the business works, in seconds.
    #[arg(long, default_value_t = 40)]
    pub(crate) seconds: u64,
    /// Prints the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Leaves everything running at the end, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Works in this folder and leaves it there; it must be empty or not exist.
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
    /// How long, in seconds.
    #[arg(long)]
    pub(crate) seconds: u64,
    /// The seed of the data.
    #[arg(long)]
    pub(crate) seed: u64,
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
