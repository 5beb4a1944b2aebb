//! Builds the parts of the agents from their settings.

use std::path::Path;
use std::sync::Arc;

use gate::{ClosedFlag, GateConfig, OwnPids};
use runtime::config::Loaded;
use schemas::name::FeedName;
use social::lease::Timing;
use social::quantum::Sizing;
use social::{FeedPlan, PublisherOptions, SocialOptions};
use source::{PostgresConfig, PostgresSource, Source, SqliteConfig, SqliteSource};
use store::{Contents, PendingChanges, Quarantine, Refill, Requests, Store, StoredRows};

use crate::failure::Failure;
use crate::settings::commercial::StoreTable;
use crate::settings::database::DatabaseKind;
use crate::settings::store_address::StoreAddress;
use crate::settings::{CommercialFile, SocialFile};

/// Returns the gate's configuration with paths resolved from the folder of the file.
pub(crate) fn gate(loaded: &Loaded<SocialFile>) -> GateConfig {
    let mut gate = loaded.value.gate.clone();
    if let Some(stop_file) = &mut gate.signals.stop_file {
        stop_file.path = loaded.resolve(&stop_file.path);
    }
    gate.record.dir = gate.record.dir.map(|dir| loaded.resolve(&dir));
    gate
}

/// Returns the signals of the database and of other systems, at the start and at every reload.
pub(crate) fn external_signals(loaded: &Loaded<SocialFile>) -> Vec<Box<dyn gate::signal::Signal>> {
    crate::probes::signals_or_failing(loaded)
}

/// Creates the source. Opens no connection.
pub(crate) fn source(loaded: &Loaded<SocialFile>, closed: ClosedFlag) -> Result<Arc<dyn Source>, Failure> {
    let table = &loaded.value.source;
    match (table.kind, &table.url, &table.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let mut config = PostgresConfig::new(url.read(loaded.folder())?.expose());
            config.statement_timeout = table.statement_timeout.get();
            config.read_only_roles.clone_from(&table.read_only_roles);
            config.allow_writable_account = table.allow_writable_account;
            Ok(Arc::new(PostgresSource::new(config, closed)?))
        }
        (DatabaseKind::Sqlite, _, Some(path)) => {
            let path = loaded.resolve(path);
            check_exists(&path)?;
            let mut config = SqliteConfig::new(path);
            config.statement_timeout = table.statement_timeout.get();
            Ok(Arc::new(SqliteSource::new(config, closed)?))
        }
        // The rules of the file exclude it.
        _ => Err(Failure::usage("[source] has neither url nor path")),
    }
}

fn check_exists(path: &Path) -> Result<(), Failure> {
    if path.is_file() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "source.path: there is no file {}; give the core's database file",
        path.display()
    )))
}

/// Creates the store. Opens no connection.
pub(crate) fn store(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Store>, Failure> {
    Ok(quarantine(loaded)?)
}

/// Creates the store with its quarantine.
pub(crate) fn quarantine(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Quarantine>, Failure> {
    Ok(receiver(loaded)?)
}

/// Creates the store with its pending changes.
pub(crate) fn changes(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn PendingChanges>, Failure> {
    Ok(receiver(loaded)?)
}

/// Creates the store with its requests.
pub(crate) fn requests(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Requests>, Failure> {
    Ok(receiver(loaded)?)
}

/// Creates the store for a refill.
pub(crate) fn refill(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Refill>, Failure> {
    Ok(receiver(loaded)?)
}

/// Creates the store for a reconciliation.
pub(crate) fn stored_rows(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn StoredRows>, Failure> {
    Ok(receiver(loaded)?)
}

/// All interfaces of a store.
trait Receiver: Quarantine + PendingChanges + Requests + Refill + StoredRows {}
impl<T: Quarantine + PendingChanges + Requests + Refill + StoredRows> Receiver for T {}

fn receiver(loaded: &Loaded<CommercialFile>) -> Result<Arc<dyn Receiver>, Failure> {
    let only = loaded.value.commercial.feeds.as_deref();
    receiver_at(&loaded.value.store, loaded.folder(), only)
}

/// Creates a store that a command names. Opens no connection.
pub(crate) fn store_at(address: &StoreAddress) -> Result<Arc<dyn PendingChanges>, Failure> {
    Ok(receiver_at(&address.store, &address.folder, None)?)
}

/// Opens a store that a command names, for reading only.
pub(crate) async fn contents(address: &StoreAddress) -> Result<Box<dyn Contents>, Failure> {
    let table = &address.store;
    match (table.kind, &table.url, &table.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let url = url.read(&address.folder)?;
            Ok(Box::new(store::PostgresContents::open(url.expose()).await?))
        }
        (DatabaseKind::Sqlite, _, Some(path)) => {
            Ok(Box::new(store::SqliteContents::open(&address.folder.join(path))?))
        }
        _ => Err(Failure::usage("[store] has neither url nor path")),
    }
}

fn receiver_at(
    table: &StoreTable,
    folder: &Path,
    only: Option<&[FeedName]>,
) -> Result<Arc<dyn Receiver>, Failure> {
    let options = crate::settings::store::options(table.mode, table.schema.as_deref(), &table.feed, only);
    match (table.kind, &table.url, &table.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let url = url.read(folder)?;
            let schema = table.schema.as_deref().unwrap_or("public");
            let store = store::PostgresStore::new(url.expose(), schema)?;
            let store = store.with_statement_timeout(table.statement_timeout.get());
            Ok(Arc::new(store.with_options(options)))
        }
        (DatabaseKind::Sqlite, _, Some(path)) => {
            let store = store::SqliteStore::new(folder.join(path));
            Ok(Arc::new(store.with_options(options)))
        }
        _ => Err(Failure::usage("[store] has neither url nor path")),
    }
}

/// Returns the options of the social agent.
pub(crate) fn social_options(file: &SocialFile) -> SocialOptions {
    let table = &file.publisher;
    let defaults = SocialOptions::default();
    SocialOptions {
        publisher: PublisherOptions {
            sizing: Sizing {
                target: table.quantum.get(),
                max_rows: table.quantum_rows,
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

/// Returns the feeds with their recipients.
pub(crate) fn plans(file: &SocialFile) -> Vec<FeedPlan> {
    let plan = |feed: &crate::settings::feed::FeedTable| FeedPlan {
        definition: feed.definition(),
        recipients: feed.recipients.clone(),
    };
    file.feeds.iter().map(plan).collect()
}

/// Returns the person column by feed.
pub(crate) fn persons(file: &SocialFile) -> std::collections::BTreeMap<schemas::name::FeedName, String> {
    let feeds = file.feeds.iter();
    feeds
        .filter_map(|feed| Some((feed.name.clone(), feed.person.clone()?)))
        .collect()
}

/// Returns the host's name.
pub(crate) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if host.trim().is_empty() {
        "unknown-host".to_owned()
    } else {
        host.trim().to_owned()
    }
}

/// Returns host and process, for display.
pub(crate) fn holder() -> String {
    format!("{} pid {}", host(), std::process::id())
}

/// Lets the helper, if one is configured, lower the priority of our backends, and reports the priority mode to the gate.
pub(crate) fn kernel_help(
    loaded: &Loaded<SocialFile>,
    gate: gate::Gate,
    source: Arc<dyn Source>,
    stop: tokio_util::sync::CancellationToken,
) -> tokio::task::JoinHandle<()> {
    let file = &loaded.value;
    let helper = file.priority.helper.as_deref().map(|path| loaded.resolve(path));
    crate::kernel::run(
        gate,
        source,
        helper,
        file.source.kind == DatabaseKind::Postgres,
        stop,
    )
}

/// Reports the process ids of our backends to the gate, until the token is cancelled.
pub(crate) fn report_backend_pids(
    source: Arc<dyn Source>,
    own: OwnPids,
    stop: tokio_util::sync::CancellationToken,
) -> tokio::task::JoinHandle<()> {
    crate::probes::set_own_source(&source);
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

/// Records the gate's samples, if a folder is configured, until the token is cancelled.
pub(crate) fn record(
    loaded: &Loaded<SocialFile>,
    gate: &gate::Gate,
    source: Arc<dyn Source>,
    stop: tokio_util::sync::CancellationToken,
) -> Option<tokio::task::JoinHandle<()>> {
    let config = self::gate(loaded).record;
    let archive = recordings::SampleArchive::new(&config.dir?, config.keep.get());
    let rows = Arc::new(move || source.driver_counts().rows);
    Some(recordings::record(gate, archive, rows, stop))
}
