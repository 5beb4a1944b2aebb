//! `slacktide social run|check`.

mod config;
mod core_access;
mod page;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::reporting::Publication;
use exchange::{Exchange, StatusExchange};
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::status_report::AgentRole;
use social::record_tracker::RecordTracker;
use social::{SocialError, SocialParts};

use super::agent;
use super::status::agent_lanes::AgentLanes;
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::fullness::FullnessWatch;
use crate::output;
use crate::reporting::{self, ReportingAgent};
use crate::settings::{self, SocialFile, load};
use crate::telemetry;

use config::AgentConfig;
use core_access::CoreAccess;
use page::{Page, own_page};

/// Lowers the priority of this process as far as it may without help. A failure does not stop the agent.
pub(crate) fn lower_priority(path: &Path) {
    // The command itself reports an invalid file.
    let Ok(loaded) = load::<SocialFile>(path) else {
        return;
    };
    if loaded.value.priority.own {
        for step in priority::own::lower() {
            tracing::info!(%step, "lowered own priority");
        }
    }
}

/// Runs the agent until a stop signal.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First, because a stop signal may arrive at any time.
    let stop = agent::stop_on_signals()?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<SocialFile> = load(&path)?;
    let config = AgentConfig::read(&loaded)?;
    let core = CoreAccess::start(&loaded)?;
    let exporting = telemetry::start(loaded.value.telemetry.as_ref(), "slacktide-social")?;
    let notifier = agent::notify_manager(&stop);
    let stream = tokio::select! {
        stream = ExchangeClient::connect(config.exchange.clone()) => stream?,
        () = stop.token().cancelled() => {
            notifier.finish().await;
            return Ok(Exit::Done);
        }
    };
    let lanes = AgentLanes::new(&path, loaded.value.social.name.clone())?;
    let exchange: Arc<dyn Exchange> = Arc::new(stream.clone());
    let status: Arc<dyn StatusExchange> = Arc::new(stream.clone());
    let (instance, record_tracker) = (social::new_instance(), RecordTracker::default());
    let reporting = ReportingAgent {
        party: loaded.value.social.name.clone(),
        role: AgentRole::Social,
        instance: instance.clone(),
        key: Arc::clone(&config.key),
        gate: Some((core.gate.clone(), Arc::clone(&core.source))),
    };
    let orders = config.control(&loaded, &exchange, &core.gate, &record_tracker, &instance);
    let control = social::control::keep(orders, stop.token().clone());
    let parts = SocialParts {
        exchange,
        source: Arc::clone(&core.source),
        source_name: loaded.value.social.source.clone(),
        origin: loaded.value.origin(),
        gate: core.gate.clone(),
        feeds: compose::plans(&loaded.value),
        key: Arc::clone(&config.key),
        trusted_publishers: loaded.value.trust.chunks.clone(),
        trusted_receipts: loaded.value.trust.receipts.clone(),
        instance,
        holder: compose::holder(),
        options: compose::social_options(&loaded.value),
    };
    let agent = config.agent(&loaded.value, parts, &record_tracker)?;
    let (view, connection) = (agent.view(), stream.connection());
    let publication = Publication::default();
    let page = Arc::new(Page {
        view: view.clone(),
        started: core.started,
        connection: connection.clone(),
        holds: record_tracker.holds(),
        fullness: FullnessWatch::start(&stream, Role::Bureau, stop.token().clone()),
        supervisor: supervisor.clone(),
        lanes: lanes.clone(),
        publication: publication.clone(),
    });
    let alarm = core.watch_idle_alarm(&view);
    lanes.watch(stream, move || own_page(&view, &connection), stop.token().clone());
    agent::serve(&loaded, loaded.value.health.as_ref(), Arc::<Page>::clone(&page)).await?;
    let table = &loaded.value.status;
    let reporting = reporting::start(table, reporting, status, page, publication, stop.token().clone());
    let running = agent.run(stop.token().clone());
    let outcome = agent::until_stopped(&stop, &supervisor, running, failed).await;
    core.stop().await;
    let _ = tokio::join!(alarm, control, reporting);
    telemetry::finish(exporting).await;
    notifier.finish().await;
    outcome
}

fn failed(error: SocialError) -> Failure {
    match error {
        SocialError::Unfinished => Failure::new(Exit::Unfinished, error.to_string()),
        other => Failure::internal(&other),
    }
}

/// Checks the file, its keys and its secrets. Opens no connection.
pub(crate) fn check(path: &Path) -> Outcome {
    let loaded: Loaded<SocialFile> = load(path)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    settings::blocklist::open_blocklist(&loaded, &key)?;
    settings::masks::lane_masks(&loaded)?;
    loaded.value.exchange.agent_options(loaded.folder())?;
    loaded.value.encryption.encryption_keys(loaded.folder())?;
    if let Some(url) = &loaded.value.source.url {
        url.read(loaded.folder())?;
    }
    output::line(&format!(
        "{}: ready, {} feeds",
        path.display(),
        loaded.value.feeds.len()
    ));
    Ok(Exit::Done)
}
