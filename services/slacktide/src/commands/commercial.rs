//! `slacktide commercial run|check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::commercial::{CommercialError, CommercialParts, PollOptions, RequesterParts, StatusRegistry};
use exchange::Connection;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use runtime::supervise::Supervisor;
use schemas::name::PartyName;
use tokio::sync::watch;

use super::quarantine::watch as quarantine;
use super::status::agent_lanes::{self, AgentLanes};
use super::status::judge::JudgedLane;
use super::{agent, agent_metrics};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::fullness::FullnessWatch;
use crate::output;
use crate::settings::{CommercialFile, load};

/// Runs the agent until a stop signal.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First, because a stop signal may arrive at any time.
    let stop = agent::stop_on_signals()?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<CommercialFile> = load(&path)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let key = file.signing.key(folder)?;
    let options = file.exchange.agent_options(folder)?;
    let decryption_keys = file.encryption.decryption_keys(folder)?;
    let store = compose::quarantine(&loaded)?;
    // A separate connection: a long answer delays no chunk.
    let request_store = compose::requests(&loaded)?;
    let notifier = agent::notify_manager(&stop);
    let exchange = tokio::select! {
        exchange = ExchangeClient::connect(options) => exchange?,
        () = stop.token().cancelled() => {
            notifier.finish().await;
            return Ok(Exit::Done);
        }
    };
    let registry = StatusRegistry::default();
    let bureau = match &file.commercial.bureau {
        Some(bureau) => bureau.clone(),
        // The default of `slacktide status`.
        None => PartyName::new("bureau").map_err(|error| Failure::internal(&error))?,
    };
    let lanes = AgentLanes::new(&path, bureau)?;
    let page = {
        let (registry, connection) = (registry.clone(), exchange.connection());
        move || own_page(&registry, &connection)
    };
    lanes.watch(exchange.clone(), page, stop.token().clone());
    agent::serve(
        &loaded,
        file.health.as_ref(),
        Arc::new(Page {
            registry: registry.clone(),
            connection: exchange.connection(),
            started: jiff::Timestamp::now(),
            fullness: FullnessWatch::start(&exchange, Role::Recipient, stop.token().clone()),
            supervisor: supervisor.clone(),
            lanes,
        }),
    )
    .await?;
    quarantine::start(Arc::clone(&store), registry.clone(), stop.token().clone());
    let exchange = Arc::new(exchange);
    let requester = RequesterParts {
        exchange: Arc::<ExchangeClient>::clone(&exchange),
        store: request_store,
        recipient: file.commercial.recipient.clone(),
        trusted: file.trust.answers().to_vec(),
        here: file.origin(),
        decryption_keys: decryption_keys.clone(),
        key: Arc::clone(&key),
        interval: file.requests.interval.unwrap_or(file.poll.interval).get(),
        registry: registry.clone(),
    };
    let parts = CommercialParts {
        exchange,
        store,
        recipient: file.commercial.recipient.clone(),
        trusted: file.trust.chunks.clone(),
        here: file.origin(),
        decryption_keys,
        key,
        options: PollOptions {
            interval: file.poll.interval.get(),
            max_messages: file.poll.max_messages,
            ledger_retention: file.store.ledger.retention(),
            ..PollOptions::default()
        },
        registry,
    };
    let running = ::commercial::run_asking(parts, Some(requester), stop.token().clone());
    let outcome = agent::until_stopped(&stop, &supervisor, running, failed).await;
    notifier.finish().await;
    outcome
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

struct Page {
    registry: StatusRegistry,
    connection: watch::Receiver<Connection>,
    started: jiff::Timestamp,
    fullness: FullnessWatch,
    supervisor: Supervisor,
    lanes: AgentLanes,
}

impl Page {
    /// Returns each lane's current state.
    fn judged(&self) -> Vec<JudgedLane> {
        self.lanes.judged(own_page(&self.registry, &self.connection))
    }
}

/// Returns the page without the lane states.
fn own_page(registry: &StatusRegistry, connection: &watch::Receiver<Connection>) -> serde_json::Value {
    let mut status = serde_json::to_value(registry.status()).unwrap_or_default();
    if let Some(page) = status.as_object_mut() {
        page.insert("exchange".to_owned(), agent::exchange(connection));
    }
    status
}

impl Report for Page {
    fn status(&self) -> serde_json::Value {
        let mut page = own_page(&self.registry, &self.connection);
        let states = agent_lanes::status_data(&self.judged());
        if let Some(page) = page.as_object_mut() {
            page.insert("states".to_owned(), states);
        }
        page
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    fn metrics(&self) -> String {
        let status = self.registry.status();
        let mut text = MetricsText::new();
        agent_metrics::process("insurer", self.started, &mut text);
        text.counter(
            "slacktide_poll_ticks_total",
            "Ticks of the interval.",
            &[],
            status.ticks as f64,
        );
        text.counter(
            "slacktide_fetched_total",
            "Messages fetched, redeliveries included.",
            &[],
            status.fetched as f64,
        );
        text.counter(
            "slacktide_quarantined_total",
            "Messages quarantined whole.",
            &[],
            status.quarantined as f64,
        );
        agent_metrics::commercial(&status, jiff::Timestamp::now(), &mut text);
        agent_metrics::connection(&agent::exchange(&self.connection), &mut text);
        self.fullness.metrics(&mut text);
        quarantine::metrics(&status, &mut text);
        agent_lanes::write_metrics(&self.judged(), &mut text);
        text.finish()
    }

    fn live(&self) -> Result<(), Problem> {
        Ok(agent::live(&self.supervisor)?)
    }

    fn ready(&self) -> Result<(), Problem> {
        agent::connected(&self.connection)?;
        let status = self.registry.status();
        match (status.last_error, status.is_prepared) {
            (Some(why), _) => Err(why.into()),
            (None, false) => Err("the store has not answered yet".into()),
            (None, true) => Ok(()),
        }
    }

    fn healthy(&self) -> Result<(), Problem> {
        agent::check_accepted(&self.connection)?;
        let status = self.registry.status();
        if let Some(why) = &status.other_store {
            return Err(why.clone().into());
        }
        let lost = status
            .requests
            .as_ref()
            .map_or(0, |requests| requests.lost_answers);
        let refused = status.requests.as_ref().map(|requests| requests.refused.iter());
        match refused.and_then(|mut refused| refused.next()) {
            Some((id, why)) => Err(format!("the reply to request {id} waits: {why}").into()),
            None if lost > 0 => Err(format!(
                "{lost} answers were confirmed and are not stored: the store was restored or replaced; {}",
                ::commercial::requester::REFILL_ANSWERS
            )
            .into()),
            None => Ok(agent_lanes::check_health(&self.judged())?),
        }
    }
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
