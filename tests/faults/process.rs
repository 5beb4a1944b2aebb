//! Faults of the agents themselves: file descriptors, memory, the wall clock, signals.

use std::time::{Duration, Instant};

use harness::{Limit, Shim, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::fixture::{Fixture, OPEN};
use super::log::LogCapture;
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::{Agent, DEADLINE, Site, with_long_lease};

#[tokio::test(flavor = "multi_thread")]
async fn agent_without_file_descriptors_survives_and_recovers() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (social, poller) = fixture.start_agents().await;
    let (bureau_log, insurer_log) = (LogCapture::start(&social), LogCapture::start(&poller));
    for agent in [&social, &poller] {
        agent.process.limit(Limit::Files, 0);
    }
    // Open files stay open. The connections are broken here, and no new ones can be opened.
    for link in [&fixture.to_core, &fixture.to_store] {
        link.disconnect();
        link.restore();
    }
    fixture.change_rows().await;
    for agent in [&social, &poller] {
        until("the log to name the missing resource", DEADLINE, async || {
            agent.process.stderr().contains("Too many open files")
        })
        .await;
    }
    for link in [&fixture.bureau, &fixture.insurer] {
        link.disconnect();
        link.restore();
    }
    for agent in [&social, &poller] {
        until("the log to report the lost exchange", DEADLINE, async || {
            agent.process.stderr().contains("exchange disconnected")
        })
        .await;
    }
    bureau_log.assert_logged_at_most(2, &social);
    insurer_log.assert_logged_at_most(2, &poller);
    for agent in [&social, &poller] {
        agent.process.unlimit(Limit::Files);
    }
    fixture.assert_recovered().await;
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_out_of_memory_ends_and_its_successor_continues() {
    let site = Site::start("memory", 2_000, OPEN).await;
    let (mut social, mut poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    assert_runs_out_of_memory(&site, &mut social, 1).await;
    // Rows that the bureau's agent could not send reach the insurer's agent, which must not grow before.
    poller.process.limit(Limit::Memory, 4096);
    let social = site.social("social");
    assert_runs_out_of_memory(&site, &mut poller, 2).await;
    let poller = site.poller("poller");
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// Limits the memory to what the agent has, inserts large rows and asserts that the agent ends.
async fn assert_runs_out_of_memory(site: &Site, agent: &mut Agent, round: u32) {
    agent.process.limit(Limit::Memory, 4096);
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, memo) SELECT {round} * 1000000 + g, 'large', repeat(md5(g::text), 12000)
             FROM generate_series(1, 40) g"
        ))
        .await;
    let ended = until("it to run out of memory", DEADLINE, async || {
        agent.process.ended().ok_or_else(|| agent.process.stderr())
    })
    .await;
    assert!(!ended.success(), "{ended}:\n{}", agent.process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn wall_clock_jump_closes_the_gate_and_keeps_the_lease() {
    let shim = Shim::new();
    let mut site = Site::start("clock", 2_000, STOP_FILE_GATE).await;
    site.links.env = shim.env();
    // The lease must be lost because of the clock only, not because the machine is busy.
    let social = site.social_with("social", with_long_lease);
    let poller = site.poller("poller");
    site.wait_until_equal().await;
    let term = social.status().await.unwrap()["lease"]["term"].clone();
    for (round, seconds) in [3_600, -86_400, 0].into_iter().enumerate() {
        shim.shift_clock(seconds);
        let closings = u64::try_from(round + 1).unwrap();
        social
            .wait_status(
                "the gate to have closed for the clock",
                "/gate/closings_by_reason/clock_jump",
                |count| count.as_u64() >= Some(closings),
            )
            .await;
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name) SELECT {round} * 1000 + 100000 + g, 'then' FROM generate_series(1, 200) g"
            ))
            .await;
        if seconds < 0 {
            // It is not known whose clock is wrong: rows with a time ahead of the agent's own clock wait.
            social
                .wait_status(
                    "the source's clock to be ahead",
                    "/feeds/claim/unverified/source_clock_ahead",
                    serde_json::Value::is_object,
                )
                .await;
            // This may show before the gate has seen the jump, or while the gate is closed for it; a closed gate is not closed again.
            social
                .wait_status("the gate to be open again", "/gate/state", |state| {
                    state != "closed"
                })
                .await;
        } else {
            site.wait_until_equal().await;
        }
    }
    assert_eq!(
        social.status().await.unwrap()["lease"]["term"],
        term,
        "the lease was lost"
    );
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// `FLOW_STOPS` sets the number of stops.
#[tokio::test(flavor = "multi_thread")]
async fn agent_sigterm_at_any_time_exits_0_and_loses_nothing() {
    let stops = std::env::var("FLOW_STOPS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(16);
    let mut site = Site::start("sigterm", 40_000, OPEN).await;
    let mut rng = StdRng::seed_from_u64(11);
    let mut agents = [site.social("social"), site.poller("poller")];
    for stop in 0..stops {
        // The moment is the input of this test: from the start of the process into the middle of its work.
        let moment = rng.random_range(0..1_500_u64).saturating_sub(400);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if stop % 6 == 5 {
            site.nats.kill9();
        }
        if let Some(agent) = agents.get_mut(stop % 2) {
            assert_stops(agent).await;
            *agent = if stop % 2 == 0 {
                site.social("social")
            } else {
                site.poller("poller")
            };
        }
        if stop % 6 == 5 {
            site.nats.restart().await;
        }
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name) SELECT {stop} * 1000 + 1000000 + g, 'then' FROM generate_series(1, 500) g"
            ))
            .await;
    }
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    for agent in agents {
        agent.stop().await;
    }
}

/// Sends SIGTERM and asserts that the agent exits with 0, unless it had no handler yet.
async fn assert_stops(agent: &mut Agent) {
    let has_handler = agent.process.handles_sigterm();
    let begun = Instant::now();
    agent.process.sigterm();
    let status = agent.process.wait_exit(DEADLINE).await;
    assert!(
        status.success() || !has_handler,
        "{status} after {:?}:\n{}",
        begun.elapsed(),
        agent.process.stderr()
    );
}

/// The bureau's agent loses its lease repeatedly, with no pause between its reads that would hide a busy loop.
#[tokio::test(flavor = "multi_thread")]
async fn social_lease_expired_keeps_answering_and_stops_on_sigterm() {
    let mut site = Site::start("lapse", 2_000, OPEN).await;
    let social = site.social_with("social", |text| {
        text.replace("ttl = \"5s\"", "ttl = \"400ms\"")
            .replace("idle_poll = \"100ms\"", "idle_poll = \"10ms\"")
    });
    let poller = site.poller("poller");
    site.wait_until_equal().await;
    for _ in 0..20 {
        site.nats.kill9();
        social
            .wait_status("the lease to expire", "/lease/held", |held| held == false)
            .await;
        site.nats.restart().await;
        social
            .wait_status("the lease to be taken again", "/lease/held", |held| held == true)
            .await;
    }
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'then' FROM generate_series(100001, 100500) g")
        .await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// A panic ends one task, and every task that waits for it would wait without end. Which task panics depends on which one reads
/// the clock next: the numbers cover the reads of a second, so that each hits another task.
#[tokio::test(flavor = "multi_thread")]
async fn agent_task_panic_exits_70() {
    let shim = Shim::new();
    let mut site = Site::start("panic", 2_000, OPEN).await;
    site.links.env = shim.env();
    let mut in_order = 0;
    for (round, nth) in [1, 7, 23, 60, 151, 400].into_iter().enumerate() {
        let (mut social, mut poller) = (site.social("social"), site.poller("poller"));
        site.wait_until_equal().await;
        shim.fail_clock(nth);
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name) SELECT {round} * 1000 + 100000 + g, 'then' FROM generate_series(1, 200) g"
            ))
            .await;
        for agent in [&mut social, &mut poller] {
            in_order += u32::from(is_stopped_by_panic(agent).await);
        }
        shim.fail_clock(0);
    }
    assert!(in_order > 0, "no task was met, only the runtime");
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// Waits for the end of an agent with a task that panics. Returns whether it stopped in order: if the runtime itself panics, the
/// process aborts at once.
pub(super) async fn is_stopped_by_panic(agent: &mut Agent) -> bool {
    let status = agent.process.wait_exit(DEADLINE).await;
    let (is_in_order, logged) = (status.code() == Some(70), agent.process.stderr());
    let is_aborted = logged.contains("worker thread panicking; aborting process");
    assert!(is_in_order || is_aborted, "{status}\n{logged}");
    is_in_order
}

/// The second signal ends the process regardless of the databases. Both signals are pending when the process resumes, so that
/// the first cannot have ended it before the second arrives.
#[tokio::test(flavor = "multi_thread")]
async fn agent_second_signal_exits_at_once() {
    let mut fixture = Fixture::start(2_000, OPEN).await;
    let (mut social, mut poller) = fixture.start_agents().await;
    fixture.to_core.black_hole();
    fixture.to_store.black_hole();
    fixture.change_rows().await;
    for agent in [&mut social, &mut poller] {
        agent.process.suspend();
        agent.process.sigterm();
        agent.process.sigint();
        agent.process.resume();
        let status = agent.process.wait_exit(DEADLINE).await;
        assert_eq!(status.code(), Some(9), "{}", agent.process.stderr());
    }
    fixture.to_core.restore();
    fixture.to_store.restore();
    let (social, poller) = (fixture.site.social("social"), fixture.site.poller("poller"));
    fixture.assert_consistent().await;
    social.stop().await;
    poller.stop().await;
}
