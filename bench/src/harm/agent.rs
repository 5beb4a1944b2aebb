//! Slacktide: the real gate, source and publisher, over an exchange that only acknowledges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exchange_testing::memory::Memory;
use gate::{Gate, GateConfig, Orders, OwnPids, PriorityMode};
use priority::cgroup::{Group, Hierarchy};
use schemas::name::{FeedName, RecipientName, SourceName};
use schemas::origin::Origin;
use schemas::sign::SigningKey;
use social::{FeedPlan, Social, SocialOptions, SocialParts};
use source::{CursorSetBy, FeedDefinition, PostgresConfig, PostgresSource, Source};
use tokio_util::sync::CancellationToken;

use crate::Outcome;
use crate::arguments::Child;
use crate::worker::{WorkerStatus, termination_requested};

/// Runs until termination is requested.
pub(crate) async fn run(child: &Child) -> Outcome<()> {
    let config: GateConfig = match &child.gate {
        Some(path) => toml::from_str(&std::fs::read_to_string(path)?)?,
        None => GateConfig::default(),
    };
    let (stop, sampling_stop) = (CancellationToken::new(), CancellationToken::new());
    let own = OwnPids::new();
    let (gate, sampling) = Gate::start(&config, &own, Vec::new(), Orders::default(), &sampling_stop)?;
    let source: Arc<dyn Source> = Arc::new(PostgresSource::new(
        PostgresConfig::new(&child.url),
        gate.closed_flag(),
    )?);
    let group = match &child.group {
        Some(path) => Some(Group::prepare(Hierarchy::of_host()?, path)?),
        None => None,
    };
    let registration = tokio::spawn(register_backends(
        gate.clone(),
        Arc::clone(&source),
        own,
        group,
        sampling_stop.clone(),
    ));
    let key = Arc::new(SigningKey::generate());
    let agent = Social::new(SocialParts {
        exchange: Arc::new(Memory::new(&[]).keeping_last_only()),
        source,
        source_name: SourceName::new("core")?,
        origin: Origin::default(),
        gate,
        feeds: (1..=child.feeds)
            .map(|at| feed(&format!("setl-{at}")))
            .collect::<Outcome<_>>()?,
        key,
        trusted_publishers: Vec::new(),
        trusted_receipts: BTreeMap::new(),
        instance: social::new_instance(),
        holder: "bench".to_owned(),
        options: SocialOptions::default(),
    })?;
    let view = agent.view();
    let (path, status_interval) = (
        child.status.clone(),
        Duration::from_millis(child.status_interval_ms),
    );
    let showing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(status_interval);
        loop {
            tick.tick().await;
            let status = view.status();
            let rows = status.driver.rows;
            let worker_status = WorkerStatus::now(rows, serde_json::to_value(status).unwrap_or_default());
            if worker_status.write(&path).is_err() {
                return;
            }
        }
    });
    let running = tokio::spawn(agent.run(stop.clone()));
    termination_requested().await?;
    showing.abort();
    stop.cancel();
    running.await??;
    sampling_stop.cancel();
    sampling.join().await;
    registration.await?;
    Ok(())
}

fn feed(name: &str) -> Outcome<FeedPlan> {
    let text = |text: &str| text.to_owned();
    Ok(FeedPlan {
        definition: FeedDefinition {
            name: FeedName::new(name)?,
            version: 1,
            sql: text(
                "SELECT setl_id, updt_time, mdtrt_id, psn_no, insutype, fixmedins_code, fixmedins_name, dept_name, begndate, \
                 med_type, medfee_sumamt, hifp_pay, psn_cash_pay, dise_codg, dise_name, refd FROM setl",
            ),
            cursor: vec![text("setl_id")],
            cursor_set_by: CursorSetBy::Sequence,
            lag: Duration::ZERO,
            key: vec![text("setl_id")],
            money: ["medfee_sumamt", "hifp_pay", "psn_cash_pay"].map(text).to_vec(),
            tombstone: None,
            types: BTreeMap::new(),
            clock: source::feed::CursorClock::default(),
        },
        recipients: vec![RecipientName::new("insurer-a")?],
    })
}

/// Registers our backends at the gate, and moves them and this process into the idle group, like the idle helper.
async fn register_backends(
    gate: Gate,
    source: Arc<dyn Source>,
    own: OwnPids,
    group: Option<Group>,
    stop: CancellationToken,
) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut moved = Vec::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let backends = source.own_backends();
        own.set(backends.clone());
        let Some(group) = &group else { continue };
        let mut all = backends;
        all.push(std::process::id());
        if all == moved {
            continue;
        }
        gate.set_priority_mode(PriorityMode::Normal {
            why: "a new backend has not been moved yet".into(),
        });
        let put = all.iter().try_for_each(|pid| group.put(*pid));
        match put {
            Ok(()) => {
                moved = all;
                gate.set_priority_mode(PriorityMode::KernelIdle {
                    detail: group.path().into(),
                });
            }
            Err(error) => gate.set_priority_mode(PriorityMode::Normal {
                why: error.to_string().into(),
            }),
        }
    }
}
