//! The parts of the agents, made from their settings. Makes; connects to the exchange at most.

use std::path::Path;
use std::sync::Arc;

use gate::{GateConfig, OwnPids, ShutFlag};
use runtime::config::Loaded;
use social::lease::Timing;
use social::quantum::Sizing;
use social::{FeedPlan, PublisherOptions, SocialOptions};
use source::{PostgresConfig, PostgresSource, Source, SqliteConfig, SqliteSource};
use store::{Changes, Quarantine, Refill, Requests, Store};

use crate::failure::Failure;
use crate::settings::database::DatabaseKind;
use crate::settings::{CommercialFile, SocialFile};

/// The gate's configuration, with its paths meant from the folder of the file.
pub(crate) fn gate(loaded: &Loaded<SocialFile>) -> GateConfig {
    let mut gate = loaded.value.gate.clone();
    if let Some(stop_file) = &mut gate.signals.stop_file {
        stop_file.path = loaded.resolve(&stop_file.path);
    }
    gate.record.dir = gate.record.dir.map(|dir| loaded.resolve(&dir));
    gate
}

/// Signals that are not the host's; the same at the start and at every reload.
pub(crate) fn more_signals(loaded: &Loaded<SocialFile>) -> Vec<Box<dyn gate::signal::Signal>> {
    crate::probes::signals_or_failing(loaded)
}

/// The system of record; opens nothing yet.
pub(crate) fn source(loaded: &Loaded<SocialFile>, shut: ShutFlag) -> Result<Arc<dyn Source>, Failure> {
    let table = &loaded.value.source;
    match (table.kind, &table.url, &table.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let mut config = PostgresConfig::new(url.read(loaded.folder())?.expose());
            config.statement_timeout = table.statement_timeout.get();
            config.read_only_roles.clone_from(&table.read_only_roles);
            config.allow_writable_account = table.allow_writable_account;
            Ok(Arc::new(PostgresSource::new(config, shut)?))
        }
        (DatabaseKind::Sqlite, _, Some(path)) => {
            let path = loaded.resolve(path);
            must_exist(&path)?;
            let mut config = SqliteConfig::new(path);
            config.statement_timeout = table.statement_timeout.get();
            Ok(Arc::new(SqliteSource::new(config, shut)?))
        }
        // The rules of the file exclude it.
        _ => Err(Failure::usage("[source] does not say where the database is")),
    }
}

fn must_exist(path: &Path) -> Result<(), Failure> {
    if path.is_file() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "source.path: there is no file {}; give the core's database file",
        path.display()
    )))
}

/// The receiver; opens nothing yet.
pub(crate) fn store(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Store>, Failure> {
    Ok(quarantine(loaded)?)
}

/// The same with its quarantine.
pub(crate) fn quarantine(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Quarantine>, Failure> {
    Ok(receiver(loaded)?)
}

/// The same with what its lanes wait for.
pub(crate) fn changes(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Changes>, Failure> {
    Ok(receiver(loaded)?)
}

/// The same with what it asks for.
pub(crate) fn requests(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Requests>, Failure> {
    Ok(receiver(loaded)?)
}

/// The same where it holds less than it signed for.
pub(crate) fn refill(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Refill>, Failure> {
    Ok(receiver(loaded)?)
}

/// All that a receiver does.
trait Receiver: Quarantine + Changes + Requests + Refill {}
impl<T: Quarantine + Changes + Requests + Refill> Receiver for T {}

fn receiver(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Receiver>, Failure> {
    let table = &loaded.value.store;
    let only = loaded.value.commercial.feeds.as_deref();
    let options = crate::settings::store::options(table.mode, table.schema.as_deref(), &table.feed, only);
    match (table.kind, &table.url, &table.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let url = url.read(loaded.folder())?;
            let schema = table.schema.as_deref().unwrap_or("public");
            let store = store::PostgresStore::new(url.expose(), schema)?;
            let store = store.with_statement_timeout(table.statement_timeout.get());
            Ok(Arc::new(store.with_options(options)))
        }
        (DatabaseKind::Sqlite, _, Some(path)) => {
            let store = store::SqliteStore::new(loaded.resolve(path));
            Ok(Arc::new(store.with_options(options)))
        }
        _ => Err(Failure::usage("[store] does not say where the database is")),
    }
}

/// What an operator may set of the social agent.
pub(crate) fn social_options(file: &SocialFile) -> SocialOptions {
    let table = &file.publisher;
    let defaults = SocialOptions::default();
    SocialOptions {
        publisher: PublisherOptions {
            sizing: Sizing {
                target: table.quantum.get(),
                most: table.quantum_rows,
                ..defaults.publisher.sizing
            },
            close_after: table.close_after.get(),
            collect: table.collect.get(),
            idle_poll: table.idle_poll.get(),
            idle_poll_rate: table.idle_poll_rate,
            ..defaults.publisher
        },
        lease: Timing::of(file.lease.ttl.get()),
        ..defaults
    }
}

/// The feeds and who they are for.
pub(crate) fn plans(file: &SocialFile) -> Vec<FeedPlan> {
    let plan = |feed: &crate::settings::feed::FeedTable| FeedPlan {
        definition: feed.definition(),
        recipients: feed.recipients.clone(),
    };
    file.feeds.iter().map(plan).collect()
}

/// By feed: the column that names a person.
pub(crate) fn persons(file: &SocialFile) -> std::collections::BTreeMap<schemas::name::FeedName, String> {
    let feeds = file.feeds.iter();
    feeds
        .filter_map(|feed| Some((feed.name.clone(), feed.person.clone()?)))
        .collect()
}

/// Host and process, for people.
pub(crate) fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() {
        "unknown-host"
    } else {
        host.trim()
    };
    format!("{host} pid {}", std::process::id())
}

/// Has the helper, where one is configured, put our backends behind, and tells the gate the regime.
pub(crate) fn kernel_help(
    loaded: &Loaded<SocialFile>,
    gate: gate::Gate,
    source: Arc<dyn Source>,
    stop: tokio_util::sync::CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let file = &loaded.value;
    let helper = file.priority.helper.as_deref().map(|path| loaded.resolve(path));
    crate::kernel::keep(
        gate,
        source,
        helper,
        file.source.kind == DatabaseKind::Postgres,
        stop,
    )
}

/// Tells the gate which backends of the source serve us, until the token is cancelled.
pub(crate) fn tell_backends(
    source: Arc<dyn Source>,
    own: OwnPids,
    stop: tokio_util::sync::CancellationToken,
) -> tokio::task::JoinHandle<()> {
    crate::probes::own(&source);
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            tokio::select! {
                _ = tick.tick() => own.set(source.own_backends()),
                () = stop.cancelled() => return,
            }
        }
    })
}

/// Records the gate's samples where a folder is configured, until the token is cancelled.
pub(crate) fn record(
    loaded: &Loaded<SocialFile>,
    gate: &gate::Gate,
    source: Arc<dyn Source>,
    stop: tokio_util::sync::CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    let config = self::gate(loaded).record;
    let keeper = gate::record::Keeper::new(&config.dir?, config.keep.get());
    let rows = Arc::new(move || source.counted().rows);
    Some(gate::record::record(gate, keeper, rows, stop))
}
