//! `slacktide social run|check`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use exchange::{Connection, Exchange};
use gate::{Gate, Orders, OwnPids};
use jiff::Timestamp;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::{Problem, Report};
use runtime::metrics::MetricsText;
use runtime::supervise::Supervisor;
use social::control::ControlParts;
use social::hold::{HoldWatch, Holds};
use social::record_tracker::RecordTracker;
use social::{HoldConfig, Social, SocialError, SocialParts, SocialView};
use tokio::sync::watch;

use super::status::agent_lanes::{self, AgentLanes};
use super::{agent, agent_metrics, orders};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::fullness::FullnessWatch;
use crate::never_idle::{self, AlarmAfter};
use crate::output;
use crate::reload;
use crate::settings::{self, SocialFile, load};

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
    let (file, folder) = (&loaded.value, loaded.folder());
    let key = file.signing.key(folder)?;
    let options = file.exchange.agent_options(folder)?;
    let encryption_keys = file.encryption.encryption_keys(folder)?;
    let blocklist = settings::blocklist::open_blocklist(&loaded, &key)?;
    let answer_config = settings::requests::answer_config(
        &loaded,
        &key,
        blocklist.as_ref().map(social::blocklist::Keeper::list),
    )?;
    let masks = settings::masks::lane_masks(&loaded)?;
    let own = OwnPids::new();
    // The gate outlives the stop signal: running work ends under its control.
    let sampling_stop = tokio_util::sync::CancellationToken::new();
    let started = Timestamp::now();
    let probes = crate::probes::signals(&loaded)?;
    // The gate may be paused by an order.
    let unread = Orders::unread("the exchange was not reached yet");
    let (gate, sampling) = Gate::start(&compose::gate(&loaded), &own, probes, unread, &sampling_stop)
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
    let kernel_help = compose::kernel_help(&loaded, gate.clone(), Arc::clone(&source), sampling_stop.clone());
    let pid_reporting = compose::report_backend_pids(Arc::clone(&source), own, sampling_stop.clone());
    let recorder = compose::record(&loaded, &gate, Arc::clone(&source), sampling_stop.clone());
    let notifier = agent::notify_manager(&stop);
    let exchange = tokio::select! {
        exchange = ExchangeClient::connect(options) => exchange?,
        () = stop.token().cancelled() => {
            notifier.finish().await;
            return Ok(Exit::Done);
        }
    };
    let connection = exchange.connection();
    let fullness = FullnessWatch::start(&exchange, Role::Bureau, stop.token().clone());
    let (lanes, watched) = (
        AgentLanes::new(&path, file.social.name.clone())?,
        exchange.clone(),
    );
    let exchange: Arc<dyn Exchange> = Arc::new(exchange);
    let instance = social::new_instance();
    let record_tracker = RecordTracker::default();
    let holds = record_tracker.holds();
    let control = social::control::keep(
        ControlParts {
            exchange: Arc::clone(&exchange),
            gate: gate.clone(),
            record_tracker: record_tracker.clone(),
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
    let page_holds = holds.clone();
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
    .with_encryption(encryption_keys)
    .with_holds(HoldConfig {
        holds,
        persons: compose::persons(file),
    })
    .with_record_tracker(record_tracker)
    .with_masks(masks)
    .with_notices(file.social.name.clone());
    if let Some(config) = answer_config {
        agent = agent.with_answers(config);
    }
    if let Some(blocklist) = blocklist {
        agent = agent.with_blocklist(blocklist);
    }
    let view = agent.view();
    let page = {
        let (view, connection) = (view.clone(), connection.clone());
        move || own_page(&view, &connection)
    };
    lanes.watch(watched, page, stop.token().clone());
    let alarm = never_idle::watch(
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
            holds: page_holds,
            fullness,
            supervisor: supervisor.clone(),
            lanes,
        }),
    )
    .await?;
    let running = agent.run(stop.token().clone());
    let outcome = agent::until_stopped(&stop, &supervisor, running, failed).await;
    sampling_stop.cancel();
    sampling.join().await;
    let _ = pid_reporting.await;
    let _ = kernel_help.await;
    if let Some(recorder) = recorder {
        let _ = recorder.await;
    }
    let _ = reloading.await;
    let _ = alarm.await;
    let _ = control.await;
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

struct Page {
    view: SocialView,
    started: Timestamp,
    connection: watch::Receiver<Connection>,
    holds: HoldWatch,
    fullness: FullnessWatch,
    supervisor: Supervisor,
    lanes: AgentLanes,
}

impl Page {
    /// Returns the page without the lane states.
    fn own(&self) -> serde_json::Value {
        own_page(&self.view, &self.connection)
    }
}

fn own_page(view: &SocialView, connection: &watch::Receiver<Connection>) -> serde_json::Value {
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
        let states = agent_lanes::status_data(&self.lanes.judged(page.clone()));
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
        agent_metrics::process("bureau", self.started, &mut text);
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
        let help = "Statements with which signals probed the core, whether the gate was open or not.";
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
        agent_metrics::social(&status, Timestamp::now(), &mut text);
        agent_metrics::connection(&agent::exchange(&self.connection), &mut text);
        agent_lanes::write_metrics(&self.lanes.judged(self.own()), &mut text);
        self.fullness.metrics(&mut text);
        text.finish()
    }

    fn live(&self) -> Result<(), Problem> {
        Ok(agent::live(&self.supervisor)?)
    }

    fn ready(&self) -> Result<(), Problem> {
        agent::connected(&self.connection)?;
        match &*self.holds.borrow() {
            Holds::Unread(why) => {
                return Err(format!("the operators' orders could not be read yet: {why}").into());
            }
            Holds::Behind(why) => return Err(why.clone().into()),
            Holds::Known(_) => {}
        }
        let feeds = self.view.status().feeds;
        match feeds
            .iter()
            .find(|(_, feed)| feed.state == social::status::WAITING_FOR_SOURCE)
        {
            Some((name, feed)) => {
                let why = feed.last_error.as_deref().unwrap_or("the source does not answer");
                Err(format!("feed {name} waits for the source: {why}").into())
            }
            None => Ok(()),
        }
    }

    fn healthy(&self) -> Result<(), Problem> {
        agent::check_accepted(&self.connection)?;
        let status = self.view.status();
        if let ("behind", Some(why)) = (status.orders.state, &status.orders.reason) {
            return Err(why.clone().into());
        }
        Ok(agent_lanes::check_health(&self.lanes.judged(self.own()))?)
    }
}
