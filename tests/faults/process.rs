//! What is done to the agents themselves: file descriptors, memory, the wall clock, orders to stop.

use std::time::{Duration, Instant};

use harness::{Limit, Shim, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::log::Listening;
use super::scene::{OPEN, Scene};
use crate::gates::BY_FILE;
use crate::path::site::{Agent, PATIENCE, Site, with_long_lease};

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_an_agent_lives_on_and_recovers() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (social, poller) = scene.agents().await;
    let (bureau_said, insurer_said) = (Listening::to(&social), Listening::to(&poller));
    for agent in [&social, &poller] {
        agent.process.limit(Limit::Files, 0);
    }
    // What is open stays open, so it is broken: nothing can be opened in its place.
    for way in [&scene.to_core, &scene.to_store] {
        way.cut();
        way.heal();
    }
    scene.work().await;
    for agent in [&social, &poller] {
        until("it to say what it lacks", PATIENCE, async || {
            agent.process.stderr().contains("Too many open files")
        })
        .await;
    }
    for way in [&scene.bureau, &scene.insurer] {
        way.cut();
        way.heal();
    }
    for agent in [&social, &poller] {
        until("it to say that the exchange is away", PATIENCE, async || {
            agent.process.stderr().contains("exchange disconnected")
        })
        .await;
    }
    bureau_said.said_at_most(2, &social);
    insurer_said.said_at_most(2, &poller);
    for agent in [&social, &poller] {
        agent.process.unlimit(Limit::Files);
    }
    scene.goes_on().await;
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_an_agent_ends_and_its_successor_goes_on() {
    let site = Site::start("memory", 2_000, OPEN).await;
    let (mut social, mut poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    runs_out_of_memory(&site, &mut social, 1).await;
    // What the bureau's agent could not send is the insurer's to choke on; it must not grow before.
    poller.process.limit(Limit::Memory, 4096);
    let social = site.social("social");
    runs_out_of_memory(&site, &mut poller, 2).await;
    let poller = site.poller("poller");
    site.agree().await;
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// What it has it keeps; more it does not get, and large rows come.
async fn runs_out_of_memory(site: &Site, agent: &mut Agent, round: u32) {
    agent.process.limit(Limit::Memory, 4096);
    site.core
        .execute(&format!(
            "INSERT INTO claim (id, name, memo) SELECT {round} * 1000000 + g, 'large', repeat(md5(g::text), 12000)
             FROM generate_series(1, 40) g"
        ))
        .await;
    let ended = until("it to end for want of memory", PATIENCE, async || {
        agent.process.ended().ok_or_else(|| agent.process.stderr())
    })
    .await;
    assert!(!ended.success(), "{ended}:\n{}", agent.process.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_shuts_the_gate_for_a_while_and_moves_no_lease() {
    let shim = Shim::new();
    let mut site = Site::start("clock", 2_000, BY_FILE).await;
    site.links.env = shim.env();
    // Only the clock could cost it, and not what else the machine does.
    let social = site.social_with("social", with_long_lease);
    let poller = site.poller("poller");
    site.agree().await;
    let term = social.status().await.unwrap()["lease"]["term"].clone();
    for (round, seconds) in [3_600, -86_400, 0].into_iter().enumerate() {
        shim.shift_clock(seconds);
        let shuts = u64::try_from(round + 1).unwrap();
        social
            .shows(
                "the gate to have shut for the clock",
                "/gate/shuts_by_reason/clock_jump",
                |count| count.as_u64() >= Some(shuts),
            )
            .await;
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name) SELECT {round} * 1000 + 100000 + g, 'then' FROM generate_series(1, 200) g"
            ))
            .await;
        if seconds < 0 {
            // Nothing tells whose clock is wrong: rows of a time that the agent's own clock has not reached wait.
            social
                .shows(
                    "the source's clock to be ahead",
                    "/feeds/claim/unverified/source_clock_ahead",
                    serde_json::Value::is_object,
                )
                .await;
            // That may show before the gate has seen the jump, or while it is shut for it; a gate that is shut does not shut again.
            social
                .shows("the gate to be open again", "/gate/state", |state| {
                    state != "shut"
                })
                .await;
        } else {
            site.agree().await;
        }
    }
    assert_eq!(
        social.status().await.unwrap()["lease"]["term"],
        term,
        "the lease was lost"
    );
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// `FLOW_STOPS` makes it as many as wanted.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_at_any_time_is_obeyed_with_0_and_loses_nothing() {
    let stops = std::env::var("FLOW_STOPS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(16);
    let mut site = Site::start("sigterm", 40_000, OPEN).await;
    let mut chance = StdRng::seed_from_u64(11);
    let mut agents = [site.social("social"), site.poller("poller")];
    for stop in 0..stops {
        // The moment is the input of this test: from the start of the process into the middle of its work.
        let moment = chance.random_range(0..1_500_u64).saturating_sub(400);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        if stop % 6 == 5 {
            site.nats.kill9();
        }
        if let Some(agent) = agents.get_mut(stop % 2) {
            obeys(agent).await;
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
    site.agree().await;
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    for agent in agents {
        agent.stop().await;
    }
}

/// SIGTERM, which ends it in time: by itself and with 0, unless it came before the process could hear.
async fn obeys(agent: &mut Agent) {
    let hears = agent.process.handles_sigterm();
    let begun = Instant::now();
    agent.process.sigterm();
    let status = agent.process.wait_exit(PATIENCE).await;
    assert!(
        status.success() || !hears,
        "{status} after {:?}:\n{}",
        begun.elapsed(),
        agent.process.stderr()
    );
}

/// The bureau's agent lets go of its lease again and again, with no pause between its reads that would hide a loop.
#[tokio::test(flavor = "multi_thread")]
async fn social_lease_expired_keeps_answering_and_obeys_a_stop() {
    let mut site = Site::start("lapse", 2_000, OPEN).await;
    let social = site.social_with("social", |text| {
        text.replace("ttl = \"5s\"", "ttl = \"400ms\"")
            .replace("idle_poll = \"100ms\"", "idle_poll = \"10ms\"")
    });
    let poller = site.poller("poller");
    site.agree().await;
    for _ in 0..20 {
        site.nats.kill9();
        social
            .shows("the lease to expire", "/lease/held", |held| held == false)
            .await;
        site.nats.restart().await;
        social
            .shows("the lease to be taken again", "/lease/held", |held| held == true)
            .await;
    }
    site.core
        .execute("INSERT INTO claim (id, name) SELECT g, 'then' FROM generate_series(100001, 100500) g")
        .await;
    site.agree().await;
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// A panic ends one task, and whatever waits for that task waits for ever. Which task it is depends on who asks for the
/// time next: the numbers are taken from the work of a second, so that each of them is met by another one.
#[tokio::test(flavor = "multi_thread")]
async fn agent_any_task_that_panics_ends_it_with_70() {
    let shim = Shim::new();
    let mut site = Site::start("panic", 2_000, OPEN).await;
    site.links.env = shim.env();
    let mut in_order = 0;
    for (round, nth) in [1, 7, 23, 60, 151, 400].into_iter().enumerate() {
        let (mut social, mut poller) = (site.social("social"), site.poller("poller"));
        site.agree().await;
        shim.fail_clock(nth);
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name) SELECT {round} * 1000 + 100000 + g, 'then' FROM generate_series(1, 200) g"
            ))
            .await;
        for agent in [&mut social, &mut poller] {
            let status = agent.process.wait_exit(PATIENCE).await;
            let said = agent.process.stderr();
            // A runtime that fails itself ends the process at once: there is nothing left to stop in order.
            let is_aborted = said.contains("worker thread panicking; aborting process");
            assert!(status.code() == Some(70) || is_aborted, "{status}\n{said}");
            in_order += u32::from(status.code() == Some(70));
        }
        shim.fail_clock(0);
    }
    assert!(in_order > 0, "no task was met, only the runtime");
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    site.evidence_holds().await;
    site.ledger_is_gapless().await;
    social.stop().await;
    poller.stop().await;
}

/// The second signal waits for nothing, whatever the databases do. Both signals are pending when the process resumes, so
/// that the first cannot have ended it before the second arrives.
#[tokio::test(flavor = "multi_thread")]
async fn agent_second_signal_ends_it_at_once() {
    let mut scene = Scene::start(2_000, OPEN).await;
    let (mut social, mut poller) = scene.agents().await;
    scene.to_core.swallow();
    scene.to_store.swallow();
    scene.work().await;
    for agent in [&mut social, &mut poller] {
        agent.process.suspend();
        agent.process.sigterm();
        agent.process.sigint();
        agent.process.resume();
        let status = agent.process.wait_exit(PATIENCE).await;
        assert_eq!(status.code(), Some(9), "{}", agent.process.stderr());
    }
    scene.to_core.heal();
    scene.to_store.heal();
    let (social, poller) = (scene.site.social("social"), scene.site.poller("poller"));
    scene.is_whole().await;
    social.stop().await;
    poller.stop().await;
}
