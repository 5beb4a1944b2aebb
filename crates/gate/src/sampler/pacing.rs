//! The duty as workers experience it, in paused time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::tests::{Bench, bench};
use super::*;
use crate::signal::scripted::ScriptedReading;

/// Works in quanta of 2 ms, as fast as permits are granted, for this long.
async fn work(gate: Gate, whole: Duration, worked: Arc<AtomicU64>) {
    let end = Instant::now() + whole;
    while Instant::now() < end {
        let permit = gate.permit().await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        drop(permit);
        worked.fetch_add(2, Ordering::Relaxed);
    }
}

/// Returns the share of 20 s that this many workers got, in percent.
async fn share(bench: &Bench, workers: usize) -> u64 {
    let worked = Arc::new(AtomicU64::new(0));
    let whole = Duration::from_secs(20);
    let tasks: Vec<_> = (0..workers)
        .map(|_| tokio::spawn(work(bench.gate.clone(), whole, Arc::clone(&worked))))
        .collect();
    for task in tasks {
        assert!(task.await.is_ok());
    }
    worked.load(Ordering::Relaxed) * 100 / 20_000
}

/// The harm cannot be measured here, so the duty is small; a fifth of the ticks are control ticks.
#[tokio::test(start_paused = true)]
async fn workers_together_keep_the_duty_during_business() {
    let bench = bench(ScriptedReading::Value(30.0));
    bench
        .until(GateState::Limited, crate::verdict::ReasonKind::BusinessActive)
        .await;
    // The check of the real run queue waits in paused time; the duty is the upper bound.
    let one = share(&bench, 1).await;
    assert!((1..=10).contains(&one), "{one} %");
    let four = share(&bench, 4).await;
    assert!((1..=10).contains(&four), "{four} %");
}

#[tokio::test(start_paused = true)]
async fn workers_without_business_have_all_of_the_time() {
    let bench = bench(ScriptedReading::Value(1.0));
    bench.open().await;
    let four = share(&bench, 4).await;
    assert!((390..=400).contains(&four), "{four} %");
}

#[tokio::test(start_paused = true)]
async fn order_takes_effect_at_the_next_sample_and_expires() {
    let bench = bench(ScriptedReading::Value(1.0));
    bench.open().await;
    let permit = bench.gate.permit().await;
    let end = bench.clock.now().later(Duration::from_secs(5));
    let order = crate::orders::ActiveOrder {
        actor: "li".into(),
        reason: "a migration".into(),
        until: Some(end.wall),
    };
    bench.gate.set_orders(crate::orders::Orders {
        pause: Some(order),
        ..Default::default()
    });
    permit.revoked().await;
    assert!(bench.gate.status().reason.contains("paused by li"));
    drop(permit);
    bench.open().await;
    assert!(bench.clock.now().mono >= end.mono);
}

#[tokio::test(start_paused = true)]
async fn reload_applies_a_policy_and_refuses_a_wrong_one() {
    let bench = bench(ScriptedReading::Value(1.0));
    bench.open().await;
    let before = bench.gate.status();
    let wrong = GateConfig {
        good_samples: 0,
        ..GateConfig::default()
    };
    assert!(bench.gate.reload(&wrong, &OwnPids::new(), Vec::new()).is_err());
    let refused = bench.gate.status();
    assert!(
        refused
            .policy
            .refused
            .is_some_and(|why| why.contains("good_samples"))
    );
    assert_eq!(refused.limits, before.limits);
    assert_eq!(bench.gate.verdict().state, GateState::Open);

    let mut other = GateConfig::default();
    other.signals.host_cpu.stop = Some(80.0);
    assert!(bench.gate.reload(&other, &OwnPids::new(), Vec::new()).is_ok());
    let mut verdicts = bench.gate.subscribe();
    while bench.gate.status().limits["host_cpu"].stop_milli != 80_000 {
        assert!(verdicts.changed().await.is_ok());
    }
    assert_eq!(bench.gate.status().policy.refused, None);
}

#[tokio::test(start_paused = true)]
async fn observer_receives_every_sample_with_its_verdict() {
    let bench = bench(ScriptedReading::Value(1.0));
    let mut seen = bench.gate.observe();
    bench.open().await;
    let mut last = None;
    while let Ok(one) = seen.try_recv() {
        assert!(last < Some(one.sample.at.mono));
        last = Some(one.sample.at.mono);
    }
    assert!(last.is_some());
}
