//! `slacktide exchange apply|status`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange::stream_state::Replica;
use nats::topology::diff::{Change, Object};
use nats::topology::status::{ConsumerStatus, StreamStatus};
use nats::topology::{self, Admin, Plan, Topology};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::RecipientName;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Line, Report, Style, Table, Time, View};
use crate::settings::{PartyFile, load};

/// Options of `exchange apply`.
pub(crate) struct ApplyOptions {
    /// The folder; `None`: the shipped files.
    pub(crate) dir: Option<PathBuf>,
    /// Recipients, with the shipped files.
    pub(crate) recipients: Vec<String>,
    /// Apply without confirmation.
    pub(crate) yes: bool,
    /// Apply destructive changes, too.
    pub(crate) force: bool,
    /// How long to wait for an exchange that does not answer yet.
    pub(crate) wait: Duration,
    /// Change nothing.
    pub(crate) dry_run: bool,
    /// Print JSON.
    pub(crate) json: bool,
}

/// Shows the differences, then applies them.
pub(crate) async fn apply(path: PathBuf, options: ApplyOptions) -> Outcome {
    let topology = read(&options)?;
    let admin = wait_for_admin(&path, options.wait).await?;
    let plan = topology::plan(&admin, &topology).await?;
    output::report(&PlanReport::new(&plan)?, options.json)?;
    if plan.is_empty() || options.dry_run {
        return Ok(Exit::Done);
    }
    if !options.yes && !confirm()? {
        output::note("nothing was changed");
        return Ok(Exit::Unfinished);
    }
    topology::apply(&admin, &plan, options.force).await?;
    let left: Plan = topology::plan(&admin, &topology).await?;
    if !left.is_empty() {
        return Err(Failure::new(
            Exit::Exchange,
            "the exchange still differs from the files after the changes; run `slacktide exchange apply --dry-run`",
        ));
    }
    output::note(&format!("{} changes made", plan.changes.len()));
    Ok(Exit::Done)
}

/// Pause between two attempts to connect.
const CONNECT_EVERY: Duration = Duration::from_millis(500);

/// Connects; tries again for `wait` while the exchange is not reachable. A refused credential ends it at once.
async fn wait_for_admin(path: &Path, wait: Duration) -> Result<Admin, Failure> {
    let started = Instant::now();
    loop {
        match admin(path).await {
            Err(failure) if failure.exit == Exit::Exchange && started.elapsed() < wait => {
                tokio::time::sleep(CONNECT_EVERY).await;
            }
            result => return result,
        }
    }
}

fn read(options: &ApplyOptions) -> Result<Topology, Failure> {
    let files = match &options.dir {
        Some(dir) => topology::load(dir),
        None => {
            let names: Result<Vec<RecipientName>, _> =
                options.recipients.iter().map(RecipientName::new).collect();
            topology::embedded(&names.map_err(|error| Failure::usage(error.to_string()))?)
        }
    };
    files.map_err(|error| Failure::usage(error.to_string()))
}

fn confirm() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "standard input is not a terminal, so the changes cannot be confirmed; give --yes to apply them, or --dry-run to show them",
        ));
    }
    output::note("make these changes? [y/N]");
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::internal(&error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The differences between the exchange and the files.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "exchange apply")]
pub(in crate::commands) struct PlanReport {
    /// The changes that make the exchange equal to the files, in this order.
    items: Vec<ChangeItem>,
    /// Streams and consumers that no file describes; they are left alone.
    unlisted: Vec<ObjectItem>,
    #[serde(skip)]
    view: View,
}

/// A stream, or a consumer of it.
#[derive(Debug, Serialize, serde::Deserialize, JsonSchema)]
struct ObjectItem {
    stream: String,
    /// The consumer; `null` for the stream itself.
    consumer: Option<String>,
}

/// How a change works.
#[derive(Debug, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    /// It does not exist.
    Create,
    /// It differs.
    Update,
    /// It differs, and the change could lose something: made only with `--force`.
    Destructive,
}

/// A change of a stream or a consumer.
#[derive(Debug, Serialize, serde::Deserialize, JsonSchema)]
struct ChangeItem {
    kind: ChangeKind,
    object: ObjectItem,
    /// The settings that differ.
    fields: Vec<FieldItem>,
}

/// A setting that differs.
#[derive(Debug, Serialize, serde::Deserialize, JsonSchema)]
struct FieldItem {
    /// The server's name of it.
    name: String,
    /// The value at the exchange; `null` if there is none.
    from: Value,
    /// The value in the file.
    to: Value,
    /// Why the change is destructive.
    #[serde(default)]
    danger: Option<String>,
}

impl PlanReport {
    fn new(plan: &Plan) -> Result<Self, Failure> {
        let item = |change: &Change| -> Result<ChangeItem, Failure> {
            let value = serde_json::to_value(change).map_err(|error| Failure::internal(&error))?;
            serde_json::from_value(value).map_err(|error| Failure::internal(&error))
        };
        let object = |object: &Object| -> Result<ObjectItem, Failure> {
            let value = serde_json::to_value(object).map_err(|error| Failure::internal(&error))?;
            serde_json::from_value(value).map_err(|error| Failure::internal(&error))
        };
        let mut view = View::new();
        for line in plan.to_string().lines() {
            view.line(line);
        }
        Ok(Self {
            items: plan.changes.iter().map(item).collect::<Result<_, Failure>>()?,
            unlisted: plan.unlisted.iter().map(object).collect::<Result<_, Failure>>()?,
            view,
        })
    }
}

impl Report for PlanReport {
    fn view(&self) -> View {
        self.view.clone()
    }
}

/// Prints the state of the exchange.
pub(crate) async fn status(path: PathBuf, json: bool) -> Outcome {
    let status = topology::status(&admin(&path).await?).await?;
    output::report(&StreamList::new(&status.streams), json)?;
    Ok(Exit::Done)
}

/// The streams of the exchange.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "exchange status")]
pub(in crate::commands) struct StreamList {
    /// The streams, by name.
    items: Vec<StreamItem>,
    #[serde(skip)]
    view: View,
}

/// A stream.
#[derive(Debug, Serialize, JsonSchema)]
struct StreamItem {
    name: String,
    /// Messages in it.
    messages: u64,
    /// Bytes in it.
    bytes: u64,
    /// Its limit in bytes; `null`: unlimited.
    max_bytes: Option<u64>,
    /// Different subjects in it.
    subjects: u64,
    /// The sequence of its first message.
    first_sequence: u64,
    /// The sequence of its last message.
    last_sequence: u64,
    /// When the last message was stored; `null` if it is empty.
    last_stored_at: Option<Time>,
    /// The server that leads it; `null` without a cluster, or while no server does.
    leader: Option<String>,
    /// Its copies on other servers, by server; empty without a cluster.
    replicas: Vec<Replica>,
    /// The consumers, by name.
    consumers: Vec<ConsumerItem>,
}

/// A consumer.
#[derive(Debug, Serialize, JsonSchema)]
struct ConsumerItem {
    name: String,
    /// Messages that were never delivered.
    pending: u64,
    /// Messages that were delivered and not acknowledged.
    ack_pending: u64,
    /// Of these, messages that were delivered more than once.
    redelivered: u64,
    /// Fetches that wait.
    waiting: u64,
    /// Whether an administrator has paused it.
    is_paused: bool,
}

impl From<&ConsumerStatus> for ConsumerItem {
    fn from(consumer: &ConsumerStatus) -> Self {
        Self {
            name: consumer.name.clone(),
            pending: consumer.pending,
            ack_pending: consumer.ack_pending,
            redelivered: consumer.redelivered,
            waiting: consumer.waiting,
            is_paused: consumer.paused,
        }
    }
}

impl From<&StreamStatus> for StreamItem {
    fn from(stream: &StreamStatus) -> Self {
        Self {
            name: stream.name.clone(),
            messages: stream.messages,
            bytes: stream.bytes,
            max_bytes: stream.max_bytes,
            subjects: stream.subjects,
            first_sequence: stream.first_sequence,
            last_sequence: stream.last_sequence,
            last_stored_at: stream.last_stored_at.map(Time),
            leader: stream.leader.clone(),
            replicas: stream.replicas.clone(),
            consumers: stream.consumers.iter().map(ConsumerItem::from).collect(),
        }
    }
}

impl StreamList {
    fn new(streams: &[StreamStatus]) -> Self {
        let mut table = Table::new()
            .text("STREAM")
            .number("MESSAGES")
            .number("BYTES")
            .number("FULL")
            .number("SUBJECTS")
            .text("LAST STORED")
            .text("LEADER")
            .text("CURRENT");
        for stream in streams {
            let fullness = stream.fullness();
            table.row([
                stream.name.clone(),
                stream.messages.to_string(),
                stream.bytes.to_string(),
                fullness
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |fullness| format!("{} %", fullness.percent())),
                stream.subjects.to_string(),
                stream
                    .last_stored_at
                    .map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
                stream.leader.clone().unwrap_or_else(|| "-".to_owned()),
                current_copies(stream),
            ]);
            if fullness.is_some_and(|fullness| fullness.is_alarming()) {
                table.detail(
                    "  ",
                    Line::styled(Style::Alarm, "ALMOST FULL").and(
                        ": raise max_bytes in the file of the stream and run `slacktide exchange apply`; a full stream refuses",
                    ),
                );
            }
            for replica in stream.replicas.iter().filter(|replica| !is_in_order(replica)) {
                table.detail("  ", describe_replica(replica));
            }
            for consumer in &stream.consumers {
                let paused = if consumer.paused { ", paused" } else { "" };
                let what = format!(
                    "consumer {}: {} undelivered, {} unacked, {} redelivered{paused}",
                    consumer.name, consumer.pending, consumer.ack_pending, consumer.redelivered
                );
                table.detail("  ", what);
            }
        }
        let mut view = View::new();
        view.table(table);
        Self {
            items: streams.iter().map(StreamItem::from).collect(),
            view,
        }
    }
}

/// Returns how many copies have everything, of how many: `2/3`; `-` without a cluster.
fn current_copies(stream: &StreamStatus) -> String {
    if stream.replicas.is_empty() {
        return "-".to_owned();
    }
    let replicas = stream
        .replicas
        .iter()
        .filter(|replica| is_in_order(replica))
        .count();
    let current = replicas + usize::from(stream.leader.is_some());
    format!("{current}/{}", stream.replicas.len() + 1)
}

fn is_in_order(replica: &Replica) -> bool {
    replica.is_current && !replica.is_offline
}

/// Describes a copy that lacks something.
fn describe_replica(replica: &Replica) -> Line {
    let (server, lag) = (&replica.server, replica.lag);
    let seconds = replica.active_ms / 1_000;
    let what = if replica.is_offline {
        format!(": the leader has not reached it for {seconds} s; start the server, or check its routes")
    } else {
        format!(": {lag} operations behind, last seen {seconds} s ago; it catches up without help")
    };
    let style = if replica.is_offline {
        Style::Alarm
    } else {
        Style::Waiting
    };
    Line::styled(style, format!("copy on {server} is not current")).and(what)
}

impl Report for StreamList {
    fn view(&self) -> View {
        self.view.clone()
    }
}

async fn admin(path: &Path) -> Result<Admin, Failure> {
    let loaded: Loaded<PartyFile> = load(path)?;
    let options = loaded.value.exchange.command_options(loaded.folder())?;
    Ok(Admin::new(ExchangeClient::connect(options).await?.into_nats()?))
}
