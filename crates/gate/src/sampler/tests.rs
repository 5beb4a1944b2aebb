//! The sampler in paused time, with a scripted signal.

use jiff::Timestamp;
use schemas::load::GateState;
use tokio::sync::watch;

use super::*;
use crate::signal::scripted::{ScriptedReading, ScriptedSignal};
use crate::verdict::ReasonKind;

/// A gate over one scripted signal.
pub(super) struct Bench {
    pub(super) gate: Gate,
    readings: watch::Sender<ScriptedReading>,
    pub(super) clock: Clock,
    stop: CancellationToken,
    sampling: SamplerTasks,
}

pub(super) fn bench(first: ScriptedReading) -> Bench {
    let (signal, readings) = ScriptedSignal::new("host_cpu", first);
    let mut config = GateConfig::default();
    // Only the scripted signal.
    config.signals.memory.enabled = Some(crate::signal::host::config::Enablement::Fixed(false));
    let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
    let stop = CancellationToken::new();
    let pace = Pace {
        interval: config.interval.get(),
        read_timeout: config.read_timeout(),
    };
    let (gate, sampling) = Gate::start_with_signals(
        vec![Box::new(signal)],
        config.limits(),
        pace,
        clock.clone(),
        &stop,
    );
    Bench {
        gate,
        readings,
        clock,
        stop,
        sampling,
    }
}

impl Bench {
    pub(super) async fn until(&self, state: GateState, kind: ReasonKind) -> Verdict {
        let mut verdicts = self.gate.subscribe();
        let wanted = |verdict: &Verdict| verdict.state == state && verdict.reason.kind() == kind;
        let found = verdicts.wait_for(wanted).await.map(|verdict| verdict.clone());
        found.unwrap_or_else(|_| self.gate.verdict())
    }

    pub(super) async fn open(&self) -> Verdict {
        self.until(GateState::Open, ReasonKind::Idle).await
    }
}

#[tokio::test(start_paused = true)]
async fn gate_opens_after_the_hold_and_closes_on_load() {
    let bench = bench(ScriptedReading::Value(5.0));
    let opened = bench.open().await;
    assert!(opened.at.mono >= Duration::from_secs(2));
    let permit = bench.gate.permit().await;
    bench.readings.send_replace(ScriptedReading::Value(90.0));
    permit.revoked().await;
    let closed = bench.gate.verdict();
    assert_eq!(
        closed.reason.to_string(),
        "host_cpu 90.0 % >= 85.0 % (stop limit)"
    );
    bench.readings.send_replace(ScriptedReading::Value(5.0));
    let again = bench.open().await;
    assert!(again.at.mono - closed.at.mono >= Duration::from_secs(2));
    assert!(permit.is_revoked());
}

/// Trap: a probe error read as "not loaded".
#[tokio::test(start_paused = true)]
async fn signal_failing_or_hanging_closes_the_gate_until_it_recovers() {
    let bench = bench(ScriptedReading::Value(5.0));
    for (reading, text) in [
        (
            ScriptedReading::Fail("connection refused".to_owned()),
            "connection refused",
        ),
        (ScriptedReading::Hang, "no answer within 250 ms"),
    ] {
        bench.open().await;
        bench.readings.send_replace(reading);
        let verdict = bench.until(GateState::Closed, ReasonKind::Failed).await;
        assert!(verdict.reason.to_string().contains(text), "{}", verdict.reason);
        bench.readings.send_replace(ScriptedReading::Value(5.0));
    }
    bench.open().await;
}

#[tokio::test(start_paused = true)]
async fn clock_jump_closes_the_gate_until_it_recovers() {
    let bench = bench(ScriptedReading::Value(5.0));
    bench.open().await;
    bench.clock.jump(3_600_000);
    let verdict = bench.until(GateState::Closed, ReasonKind::ClockJump).await;
    assert!(verdict.reason.to_string().contains("3600000 ms"));
    bench.open().await;
}

#[tokio::test(start_paused = true)]
async fn sampler_stalled_closes_the_gate() {
    let bench = bench(ScriptedReading::Value(5.0));
    bench.open().await;
    let permit = bench.gate.permit().await;
    // The first task is the sampler.
    bench.sampling.tasks[0].abort();
    permit.revoked().await;
    let verdict = bench.gate.verdict();
    assert_eq!(
        (verdict.state, verdict.reason.kind()),
        (GateState::Closed, ReasonKind::Stale)
    );
    assert!(bench.gate.closed_flag().is_closed());
    assert!(bench.gate.try_permit().is_none());
    let status = bench.gate.status();
    assert_eq!(status.closings_by_reason.get(&ReasonKind::Stale), Some(&1));
}

/// The watchdog may be late too: an expired verdict grants no permit.
#[tokio::test(start_paused = true)]
async fn expired_verdict_grants_no_permit_without_watchdog() {
    let bench = bench(ScriptedReading::Value(5.0));
    bench.open().await;
    bench.sampling.tasks.iter().for_each(JoinHandle::abort);
    assert!(bench.gate.try_permit().is_some());
    tokio::time::advance(Duration::from_millis(501)).await;
    assert!(bench.gate.try_permit().is_none());
    assert_eq!(bench.gate.verdict().state, GateState::Closed);
}

#[tokio::test(start_paused = true)]
async fn sampler_resumed_after_a_stall_restarts_the_hold() {
    let bench = bench(ScriptedReading::Value(5.0));
    bench.open().await;
    bench.sampling.tasks[1].abort();
    // As after SIGSTOP: the monotonic clock advanced without a sample.
    tokio::time::advance(Duration::from_secs(60)).await;
    let closed = bench.until(GateState::Closed, ReasonKind::Stale).await;
    let opened = bench.open().await;
    assert!(opened.at.mono - closed.at.mono >= Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn stop_closes_the_gate_and_ends_the_tasks() {
    let bench = bench(ScriptedReading::Hang);
    bench.stop.cancel();
    bench.sampling.join().await;
    let verdict = bench.gate.verdict();
    assert_eq!(
        (verdict.state, verdict.reason.kind()),
        (GateState::Closed, ReasonKind::Stopped)
    );
}

#[tokio::test(start_paused = true)]
async fn evidence_has_limits_and_samples_since_the_grant() {
    let bench = bench(ScriptedReading::Value(5.0));
    bench.open().await;
    let permit = bench.gate.permit().await;
    let mut verdicts = bench.gate.subscribe();
    bench.readings.send_replace(ScriptedReading::Value(8.0));
    for _ in 0..3 {
        assert!(verdicts.changed().await.is_ok());
    }
    let load = permit.load_evidence();
    assert_eq!(load.limits["host_cpu"].stop_milli, 85_000);
    let readings: Vec<_> = load
        .samples
        .iter()
        .map(|sample| sample.readings_milli["host_cpu"])
        .collect();
    assert_eq!(readings, [Some(5_000), Some(8_000), Some(8_000), Some(8_000)]);
    assert_eq!(load.verdicts.len(), 1);
}

#[tokio::test]
async fn configured_gate_measures_this_host() {
    let config = GateConfig {
        interval: runtime::span::Span::from_millis(50),
        read_timeout: Some(runtime::span::Span::from_secs(60)),
        stale_after: Some(runtime::span::Span::from_secs(60)),
        ..GateConfig::default()
    };
    let stop = CancellationToken::new();
    let started = Gate::start(&config, &OwnPids::new(), Vec::new(), Orders::default(), &stop);
    let Ok((gate, sampling)) = started else {
        return assert!(started.is_ok());
    };
    let mut verdicts = gate.subscribe();
    // The first reading is an error; the next ones are percentages.
    while gate
        .status()
        .readings_milli
        .get("host_cpu")
        .is_none_or(Option::is_none)
    {
        assert!(verdicts.changed().await.is_ok());
    }
    stop.cancel();
    sampling.join().await;
}

#[tokio::test]
async fn contradictory_configuration_does_not_start() {
    let config = GateConfig {
        good_samples: 0,
        ..GateConfig::default()
    };
    assert!(
        Gate::start(
            &config,
            &OwnPids::new(),
            Vec::new(),
            Orders::default(),
            &CancellationToken::new()
        )
        .is_err()
    );
}

#[tokio::test]
async fn fixed_open_gate_obeys_a_pause_and_can_be_reloaded() {
    let fixed = GateConfig {
        mode: Mode::Open,
        ..GateConfig::default()
    };
    let stop = CancellationToken::new();
    let started = Gate::start(&fixed, &OwnPids::new(), Vec::new(), Orders::default(), &stop);
    let Ok((gate, sampling)) = started else {
        return assert!(started.is_ok());
    };
    let load = gate.permit().await.load_evidence();
    assert!(load.samples.is_empty() && load.limits.is_empty());
    let pause = crate::orders::ActiveOrder {
        actor: "li".into(),
        reason: "closing".into(),
        until: None,
    };
    gate.set_orders(crate::orders::Orders {
        pause: Some(pause),
        ..crate::orders::Orders::default()
    });
    gate.until_closed().await;
    assert_eq!(gate.verdict().reason.kind(), ReasonKind::Paused);
    assert!(
        gate.reload(&GateConfig::default(), &OwnPids::new(), Vec::new())
            .is_ok()
    );
    let mut verdicts = gate.subscribe();
    while gate.status().readings_milli.is_empty() {
        assert!(verdicts.changed().await.is_ok());
    }
    stop.cancel();
    sampling.join().await;
}
