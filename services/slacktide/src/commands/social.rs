//! `slacktide social run|check`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use exchange::Exchange;
use gate::{Gate, Orders, OwnPids};
use jiff::Timestamp;
use nats::JetStream;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::Report;
use runtime::metrics::MetricsText;
use runtime::supervise::Supervisor;
use social::control::ControlParts;
use social::hold::{HoldWatch, Holds};
use social::witness::Witness;
use social::{Holding, Social, SocialError, SocialParts, SocialView};
use tokio::sync::watch;

use super::status::own::{self, OwnLanes};
use super::{agent, measures, orders};
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::fullness::FullnessWatch;
use crate::never_idle::{self, AlarmAfter};
use crate::output;
use crate::reload;
use crate::settings::{self, SocialFile, load};

/// Puts this process behind others, as far as it may by itself; never a reason not to run.
pub(crate) fn lower(path: &Path) {
    // A file with a fault is told by the command itself.
    let Ok(loaded) = load::<SocialFile>(path) else {
        return;
    };
    if loaded.value.priority.own {
        for step in priority::own::lower() {
            tracing::info!(%step, "own priority");
        }
    }
}

/// Runs the agent until it is told to stop.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    // First: an order to stop may come at any time.
    let stop = agent::stop()?;
    let supervisor = agent::supervise(&stop)?;
    let loaded: Loaded<SocialFile> = load(&path)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let key = file.signing.key(folder)?;
    let options = file.exchange.agent(folder)?;
    let sealing = file.sealing.keys(folder)?;
    let blocklist = settings::blocklist::keeper(&loaded, &key)?;
    let answering = settings::requests::answering(
        &loaded,
        &key,
        blocklist.as_ref().map(social::blocklist::Keeper::list),
    )?;
    let masks = settings::masks::lanes(&loaded)?;
    let own = OwnPids::new();
    // The gate outlives the order to stop: work that is under way ends under its verdicts.
    let sampling_stop = tokio_util::sync::CancellationToken::new();
    let started = Timestamp::now();
    let more = crate::probes::signals(&loaded)?;
    // It might be paused.
    let unread = Orders::unread("the exchange was not reached yet");
    let (gate, sampling) = Gate::start(&compose::gate(&loaded), &own, more, unread, &sampling_stop)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let alarm_after: AlarmAfter = Arc::new(RwLock::new(file.gate.never_idle.alarm_after.get()));
    let reloading = reload::watch(
        loaded.clone(),
        gate.clone(),
        own.clone(),
        Arc::clone(&alarm_after),
        sampling_stop.clone(),
    );
    let source = compose::source(&loaded, gate.shut_flag())?;
    let helping = compose::kernel_help(&loaded, gate.clone(), Arc::clone(&source), sampling_stop.clone());
    let telling = compose::tell_backends(Arc::clone(&source), own, sampling_stop.clone());
    let recording = compose::record(&loaded, &gate, Arc::clone(&source), sampling_stop.clone());
    let notifier = agent::notify_manager(&stop);
    let exchange = tokio::select! {
        exchange = JetStream::connect(options) => exchange?,
        () = stop.token().cancelled() => {
            notifier.finish().await;
            return Ok(Exit::Done);
        }
    };
    let connection = exchange.connection();
    let fullness = FullnessWatch::start(exchange.clone(), Role::Bureau, stop.token().clone());
    let (lanes, watched) = (OwnLanes::new(&path, file.social.name.clone())?, exchange.clone());
    let exchange: Arc<dyn Exchange> = Arc::new(exchange);
    let instance = social::new_instance();
    let witness = Witness::default();
    let holds = witness.holds();
    let obeying = social::control::keep(
        ControlParts {
            exchange: Arc::clone(&exchange),
            gate: gate.clone(),
            witness: witness.clone(),
            lanes: orders::lanes(file),
            publishers: file.trust.chunks.clone(),
            origin: file.origin(),
            high_water: orders::high_water(&loaded),
            party: file.social.name.clone(),
            source: file.social.source.clone(),
            operators: file.trust.operators.clone(),
            key: Arc::clone(&key),
            instance: instance.clone(),
        },
        stop.token().clone(),
    );
    let told = holds.clone();
    let mut agent = Social::new(SocialParts {
        exchange,
        source,
        source_name: file.social.source.clone(),
        origin: file.origin(),
        gate: gate.clone(),
        feeds: compose::plans(file),
        key,
        trusted_publishers: file.trust.chunks.clone(),
        trusted_receipts: file.trust.receipts.clone(),
        instance,
        holder: compose::holder(),
        options: compose::social_options(file),
    })
    .map_err(|error| Failure::usage(error.to_string()))?
    .sealing(sealing)
    .holding(Holding {
        holds,
        persons: compose::persons(file),
    })
    .witnessing(witness)
    .masking(masks)
    .telling(file.social.name.clone());
    if let Some(answering) = answering {
        agent = agent.answering(answering);
    }
    if let Some(blocklist) = blocklist {
        agent = agent.blocking(blocklist);
    }
    let view = agent.view();
    let page = {
        let (view, connection) = (view.clone(), connection.clone());
        move || own_page(&view, &connection)
    };
    lanes.watch(watched, page, stop.token().clone());
    let alarming = never_idle::watch(
        gate,
        {
            let view = view.clone();
            move || view.status()
        },
        alarm_after,
        started,
        sampling_stop.clone(),
    );
    agent::serve(
        &loaded,
        file.health.as_ref(),
        Arc::new(Page {
            view,
            started,
            connection,
            holds: told,
            fullness,
            supervisor: supervisor.clone(),
            lanes,
        }),
    )
    .await?;
    let running = agent.run(stop.token().clone());
    let outcome = agent::until_stopped(&stop, &supervisor, running, failed).await;
    sampling_stop.cancel();
    sampling.joined().await;
    let _ = telling.await;
    let _ = helping.await;
    if let Some(recording) = recording {
        let _ = recording.await;
    }
    let _ = reloading.await;
    let _ = alarming.await;
    let _ = obeying.await;
    notifier.finish().await;
    outcome
}

fn failed(error: SocialError) -> Failure {
    match error {
        SocialError::Unfinished => Failure::new(Exit::Unfinished, error.to_string()),
        other => Failure::internal(&other),
    }
}

/// Checks the file, its keys and its secrets; opens nothing.
pub(crate) fn check(path: &Path) -> Outcome {
    let loaded: Loaded<SocialFile> = load(path)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    settings::blocklist::keeper(&loaded, &key)?;
    settings::masks::lanes(&loaded)?;
    loaded.value.exchange.agent(loaded.folder())?;
    loaded.value.sealing.keys(loaded.folder())?;
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

struct Page {
    view: SocialView,
    started: Timestamp,
    connection: watch::Receiver<nats::Connection>,
    holds: HoldWatch,
    fullness: FullnessWatch,
    supervisor: Supervisor,
    lanes: OwnLanes,
}

impl Page {
    /// The page without the lanes' states.
    fn own(&self) -> serde_json::Value {
        own_page(&self.view, &self.connection)
    }
}

fn own_page(view: &SocialView, connection: &watch::Receiver<nats::Connection>) -> serde_json::Value {
    let mut status = serde_json::to_value(view.status()).unwrap_or_default();
    if let Some(page) = status.as_object_mut() {
        let probes = serde_json::to_value(crate::probes::count()).unwrap_or_default();
        page.insert("probes".to_owned(), probes);
        page.insert("exchange".to_owned(), agent::exchange(connection));
    }
    status
}

impl Report for Page {
    fn status(&self) -> serde_json::Value {
        let mut page = self.own();
        let states = own::data(&self.lanes.judged(page.clone()));
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
        let status = self.view.status();
        let mut text = MetricsText::new();
        measures::process("bureau", self.started, &mut text);
        status.gate.metrics(&mut text);
        let alarm = f64::from(u8::from(status.gate.alarm.is_some()));
        let help = "1 while the core has not been idle, or a feed not drained, for too long.";
        text.gauge("slacktide_gate_alarm", help, &[], alarm);
        for (feed, since) in never_idle::undrained(&status, self.started, Timestamp::now()) {
            let help = "Time since the feed was last known drained: an upper bound of its lag.";
            let labels = [("feed", feed.as_str())];
            text.gauge(
                "slacktide_feed_undrained_seconds",
                help,
                &labels,
                since.as_secs_f64(),
            );
        }
        let probes = crate::probes::count();
        let help = "Statements with which signals asked the core, whether the gate was open or not.";
        text.counter("slacktide_probes_total", help, &[], probes.probes as f64);
        let help = "Probes that failed or were late.";
        text.counter(
            "slacktide_probe_failures_total",
            help,
            &[],
            probes.failures as f64,
        );
        let help = "The slowest probe.";
        text.gauge(
            "slacktide_probe_max_seconds",
            help,
            &[],
            probes.max_us as f64 / 1e6,
        );
        text.gauge(
            "slacktide_lease_held",
            "1 while this process may read.",
            &[],
            f64::from(u8::from(status.lease.held)),
        );
        text.counter(
            "slacktide_driver_rows_total",
            "Rows that the database driver handed out.",
            &[],
            status.driver.rows as f64,
        );
        text.counter(
            "slacktide_driver_rows_while_shut_total",
            "Rows handed out while the gate was shut; must stay 0.",
            &[],
            status.driver.rows_while_shut as f64,
        );
        measures::social(&status, Timestamp::now(), &mut text);
        measures::connection(&agent::exchange(&self.connection), &mut text);
        own::metrics(&self.lanes.judged(self.own()), &mut text);
        self.fullness.metrics(&mut text);
        text.finish()
    }

    fn live(&self) -> Result<(), String> {
        agent::live(&self.supervisor)
    }

    fn ready(&self) -> Result<(), String> {
        agent::connected(&self.connection)?;
        match &*self.holds.borrow() {
            Holds::Unread(why) => return Err(format!("the operators' orders could not be read yet: {why}")),
            Holds::Behind(why) => return Err(why.clone()),
            Holds::Known(_) => {}
        }
        let feeds = self.view.status().feeds;
        match feeds
            .iter()
            .find(|(_, feed)| feed.state == social::status::WAITING_FOR_SOURCE)
        {
            Some((name, feed)) => {
                let why = feed.last_error.as_deref().unwrap_or("the source does not answer");
                Err(format!("feed {name} waits for the source: {why}"))
            }
            None => Ok(()),
        }
    }

    fn healthy(&self) -> Result<(), String> {
        agent::let_in(&self.connection)?;
        let status = self.view.status();
        if let ("behind", Some(why)) = (status.orders.state, &status.orders.reason) {
            return Err(why.clone());
        }
        own::healthy(&self.lanes.judged(self.own()))
    }
}
