//! `slacktide commercial run|check`.

mod page;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::commercial::{CommercialError, CommercialParts, PollOptions, RequesterParts, StatusRegistry};
use ::reporting::Publication;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::encryption::DecryptionKeys;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use schemas::status_report::AgentRole;
use store::{Quarantine, Requests};

use super::agent;
use super::quarantine::watch as quarantine;
use super::reconcile::schedule;
use super::status::agent_lanes::AgentLanes;
use crate::compose;
use crate::exchange_client::{ExchangeClient, ExchangeOptions};
use crate::failure::{Failure, Outcome};
use crate::fullness::FullnessWatch;
use crate::output;
use crate::reporting::{self, ReportingAgent};
use crate::settings::{CommercialFile, load};
use crate::telemetry;

use page::{Page, own_page};

/// Runs the agent until a stop signal.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First, because a stop signal may arrive at any time.
    let stop = agent::stop_on_signals()?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<CommercialFile> = load(&path)?;
    let config = AgentConfig::read(&loaded)?;
    let exporting = telemetry::start(loaded.value.telemetry.as_ref(), "slacktide-commercial")?;
    let notifier = agent::notify_manager(&stop);
    let exchange = tokio::select! {
        exchange = ExchangeClient::connect(config.exchange.clone()) => exchange?,
        () = stop.token().cancelled() => {
            notifier.finish().await;
            return Ok(Exit::Done);
        }
    };
    let (registry, connection) = (StatusRegistry::default(), exchange.connection());
    let lanes = AgentLanes::new(&path, bureau(&loaded.value)?)?;
    let publication = Publication::default();
    let comparisons = schedule::start(path.clone(), stop.token().clone());
    let page = Arc::new(Page {
        registry: registry.clone(),
        connection: connection.clone(),
        started: jiff::Timestamp::now(),
        fullness: FullnessWatch::start(&exchange, Role::Recipient, stop.token().clone()),
        supervisor: supervisor.clone(),
        lanes: lanes.clone(),
        publication: publication.clone(),
        comparisons,
    });
    let reporting = ReportingAgent {
        party: own_party(&loaded.value)?,
        role: AgentRole::Commercial,
        instance: social::new_instance(),
        key: Arc::clone(&config.key),
        gate: None,
    };
    let own = registry.clone();
    lanes.watch(
        exchange.clone(),
        move || own_page(&own, &connection),
        stop.token().clone(),
    );
    agent::serve(&loaded, loaded.value.health.as_ref(), Arc::<Page>::clone(&page)).await?;
    quarantine::start(Arc::clone(&config.store), registry.clone(), stop.token().clone());
    let exchange = Arc::new(exchange);
    let status = Arc::<ExchangeClient>::clone(&exchange);
    let table = &loaded.value.status;
    let reporting = reporting::start(table, reporting, status, page, publication, stop.token().clone());
    let requester = config.requester(&loaded.value, &exchange, &registry);
    let poller = config.poller(&loaded.value, exchange, registry);
    let running = ::commercial::run_asking(poller, Some(requester), stop.token().clone());
    let outcome = agent::until_stopped(&stop, &supervisor, running, failed).await;
    let _ = reporting.await;
    telemetry::finish(exporting).await;
    notifier.finish().await;
    outcome
}

/// Returns the bureau's name, by default that of `slacktide status`.
fn bureau(file: &CommercialFile) -> Result<PartyName, Failure> {
    match &file.commercial.bureau {
        Some(bureau) => Ok(bureau.clone()),
        None => PartyName::new("bureau").map_err(|error| Failure::internal(&error)),
    }
}

/// Returns the recipient as a party.
fn own_party(file: &CommercialFile) -> Result<PartyName, Failure> {
    PartyName::new(file.commercial.recipient.as_str()).map_err(|error| Failure::internal(&error))
}

/// The keys and stores that the file names.
struct AgentConfig {
    key: Arc<SigningKey>,
    exchange: ExchangeOptions,
    decryption_keys: DecryptionKeys,
    store: Arc<dyn Quarantine>,
    /// A separate connection: a long answer delays no chunk.
    request_store: Arc<dyn Requests>,
}

impl AgentConfig {
    /// Reads every file. Opens no connection.
    fn read(loaded: &Loaded<CommercialFile>) -> Result<Self, Failure> {
        let (file, folder) = (&loaded.value, loaded.folder());
        Ok(Self {
            key: file.signing.key(folder)?,
            exchange: file.exchange.agent_options(folder)?,
            decryption_keys: file.encryption.decryption_keys(folder)?,
            store: compose::quarantine(loaded)?,
            request_store: compose::requests(loaded)?,
        })
    }

    /// Returns the dependencies of the requester.
    fn requester(
        &self,
        file: &CommercialFile,
        exchange: &Arc<ExchangeClient>,
        registry: &StatusRegistry,
    ) -> RequesterParts {
        RequesterParts {
            exchange: Arc::<ExchangeClient>::clone(exchange),
            store: Arc::clone(&self.request_store),
            recipient: file.commercial.recipient.clone(),
            trusted: file.trust.answers().to_vec(),
            here: file.origin(),
            decryption_keys: self.decryption_keys.clone(),
            key: Arc::clone(&self.key),
            interval: file.requests.interval.unwrap_or(file.poll.interval).get(),
            registry: registry.clone(),
        }
    }

    /// Returns the dependencies of the poller.
    fn poller(
        self,
        file: &CommercialFile,
        exchange: Arc<ExchangeClient>,
        registry: StatusRegistry,
    ) -> CommercialParts {
        CommercialParts {
            exchange,
            store: self.store,
            recipient: file.commercial.recipient.clone(),
            trusted: file.trust.chunks.clone(),
            here: file.origin(),
            decryption_keys: self.decryption_keys,
            key: self.key,
            options: PollOptions {
                interval: file.poll.interval.get(),
                max_messages: file.poll.max_messages,
                ledger_retention: file.store.ledger.retention(),
                ..PollOptions::default()
            },
            registry,
        }
    }
}

fn failed(error: CommercialError) -> Failure {
    match error {
        CommercialError::Store(error) => error.into(),
        error @ CommercialError::Unfinished => Failure::new(Exit::Unfinished, error.to_string()),
        other => Failure::internal(&other),
    }
}

/// Checks the file, its keys and its secrets. Opens no connection.
pub(crate) fn check(path: &Path) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(path)?;
    loaded.value.signing.key(loaded.folder())?;
    loaded.value.exchange.agent_options(loaded.folder())?;
    loaded.value.encryption.decryption_keys(loaded.folder())?;
    if let Some(url) = &loaded.value.store.url {
        url.read(loaded.folder())?;
    }
    output::line(&format!(
        "{}: ready, receives for {}",
        path.display(),
        loaded.value.commercial.recipient
    ));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poller_shutdown_timeout_exits_unfinished() {
        assert_eq!(failed(CommercialError::Unfinished).exit, Exit::Unfinished);
        let denied = store::Error::new(store::ErrorKind::Denied, "a", "b");
        assert_eq!(failed(CommercialError::Store(denied)).exit, Exit::Denied);
    }
}
