//! A feed is sent again from its start, until the store equals the core.

use serde_json::Value;

use super::reconcile::start_agents;
use super::site::{Agent, DEADLINE, Site};

/// A feed in the order of numbers, which a core that went back assigns again.
const NUMBERED: &str = "[[feed]]\nname = \"claim\"\nsql = \"SELECT id, updated_at, deleted, name, amount, memo FROM claim\"\n\
     cursor = [\"id\"]\ncursor_set_by = \"sequence\"\nlag = \"300ms\"\nkey = [\"id\"]\n\
     money = [\"amount\"]\ntombstone = \"deleted\"\nrecipients = [\"insurer-a\"]\n";

const RESYNC: [&str; 11] = [
    "feed",
    "resync",
    "claim",
    "--recipient",
    "insurer-a",
    "--actor",
    "li.na",
    "--reason",
    "rows were lost",
    "--config",
    "social.toml",
];

async fn resynchronise(site: &Site, agents: [&Agent; 2]) {
    let (is_done, output) = site.command(&RESYNC).await;
    assert!(is_done, "{output}");
    wait_resynchronised(site, agents).await;
}

async fn wait_resynchronised(site: &Site, agents: [&Agent; 2]) {
    let [social, poller] = agents;
    harness::until("the new epoch at the store", DEADLINE, async || {
        let epoch = "SELECT coalesce(max(epoch), 0)::bigint FROM slacktide.ledger";
        let now = site.store.number(epoch).await;
        if now > 1 {
            Ok(())
        } else {
            Err(format!("epoch {now}"))
        }
    })
    .await;
    for agent in [social, poller] {
        agent
            .wait_status("the resynchronisation to end", "/lanes/insurer-a.claim", |lane| {
                lane.is_object() && lane.get("unverified").is_none_or(Value::is_null)
            })
            .await;
    }
}

/// Hard deletes, changes that no cursor shows, rows altered at the store, and rows that only the store has.
#[tokio::test(flavor = "multi_thread")]
async fn feed_resync_makes_core_and_store_equal() {
    let site = Site::start("resync", 5_000, "mode = \"open\"").await;
    let (social, poller, second) = (
        site.social("social"),
        site.poller("poller"),
        site.poller("second"),
    );
    site.wait_until_equal().await;
    site.core
        .execute("DELETE FROM claim WHERE id % 10 = 3; UPDATE claim SET amount = amount + 1 WHERE id % 7 = 0")
        .await;
    site.store
        .execute("UPDATE claim SET memo = 'by hand' WHERE id % 11 = 1; DELETE FROM claim WHERE id % 13 = 2")
        .await;
    // Rows beyond the fence must not be taken for deleted: one transaction holds the fence.
    let slow = site.core.connect().await;
    slow.batch_execute("BEGIN; UPDATE claim SET name = 'open', updated_at = now() WHERE id = 1")
        .await
        .unwrap();
    site.core
        .execute(
            "UPDATE claim SET name = 'beyond', updated_at = now() WHERE id BETWEEN 20 AND 400;
             INSERT INTO claim (id, name) SELECT g, 'new' FROM generate_series(900001, 900100) g",
        )
        .await;
    resynchronise(&site, [&social, &poller]).await;
    site.wait_until_equal().await;
    slow.batch_execute("COMMIT").await.unwrap();
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    for agent in [social, poller, second] {
        agent.stop().await;
    }
}

/// The next publisher continues it, and no other epoch may end it early.
#[tokio::test(flavor = "multi_thread")]
async fn feed_resync_survives_its_publisher() {
    let site = Site::start("resync_kill", 20_000, "mode = \"open\"").await;
    let (mut social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    let (is_done, output) = site.command(&[&RESYNC[..], &["--differences"]].concat()).await;
    assert!(
        !is_done && output.contains("[reconcile] is not enabled"),
        "{output}"
    );
    site.core.execute("DELETE FROM claim WHERE id % 2 = 0").await;
    social.process.kill9();
    social.process.wait_exit(DEADLINE).await;
    let (is_done, output) = site.command(&RESYNC).await;
    assert!(is_done, "{output}");
    let rewind = [
        "feed",
        "rewind",
        "claim",
        "--recipient",
        "insurer-a",
        "--from",
        "beginning",
    ];
    let (is_done, output) = site.command(&[&rewind[..], &RESYNC[5..]].concat()).await;
    assert!(!is_done && output.contains("feed resync"), "{output}");
    let mut social = site.social("social");
    social
        .wait_status(
            "some of it to be published",
            "/lanes/insurer-a.claim/number",
            |number| number.as_u64() > Some(2),
        )
        .await;
    social.process.kill9();
    social.process.wait_exit(DEADLINE).await;
    let social = site.social("social");
    site.wait_until_equal().await;
    poller
        .wait_status("nothing to be left over", "/lanes/insurer-a.claim", |lane| {
            lane.is_object() && lane.get("unverified").is_none_or(Value::is_null)
        })
        .await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

/// The core went back and gave the numbers of lost rows to other rows; one changed in place, and the store lost one, too.
#[tokio::test(flavor = "multi_thread")]
async fn feed_resync_by_differences_sends_only_what_differs() {
    let mut site = Site::start("resync_differences", 5_000, "mode = \"open\"").await;
    site.links.feeds = Some(NUMBERED.to_owned());
    site.core
        .execute(
            "CREATE SEQUENCE claim_id OWNED BY claim.id; SELECT setval('claim_id', 5000);
             ALTER TABLE claim ALTER id SET DEFAULT nextval('claim_id')",
        )
        .await;
    let (social, poller) = start_agents(&site).await;
    site.core
        .execute(
            "DELETE FROM claim WHERE id > 4000; SELECT setval('claim_id', 4000);
             INSERT INTO claim (name) SELECT 'again' FROM generate_series(1, 100);
             UPDATE claim SET amount = amount + 0.01 WHERE id = 17",
        )
        .await;
    site.store.execute("DELETE FROM claim WHERE id = 5").await;
    social
        .wait_status("the lane to stop", "/lanes/insurer-a.claim/state", |state| {
            state
                .as_str()
                .is_some_and(|state| state.contains("went backwards"))
        })
        .await;
    let (is_done, output) = site.command(&[&RESYNC[..], &["--differences"]].concat()).await;
    assert!(is_done, "{output}");
    poller
        .wait_status(
            "the rows to be uncompared",
            "/lanes/insurer-a.claim/unverified/uncompared/remedy",
            Value::is_string,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (name) SELECT 'later' FROM generate_series(1, 50)")
        .await;
    wait_resynchronised(&site, [&social, &poller]).await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    site.assert_ledger_gapless().await;
    // 102 rows differed, and 50 came later; these may be sent twice.
    let sent = "SELECT coalesce(sum(rows), 0)::bigint FROM slacktide.ledger WHERE epoch = 2";
    let sent = site.store.number(sent).await;
    assert!((152..=202).contains(&sent), "{sent} rows");
    social.stop().await;
    poller.stop().await;
}
