//! Rows that a constraint of the store refused.

use harness::{Process, slacktide, until};

use super::commands::{OPEN, actions, ids, json, list};
use crate::pipeline::site::{DEADLINE, Site};

const ROWS: i64 = 700;

async fn count_quarantined(site: &Site) -> i64 {
    let kept = "SELECT count(*) FROM slacktide.quarantine WHERE ended IS NULL";
    site.store.number(kept).await
}

/// Retries are killed and run concurrently. In the end core and store are equal, the newer version is stored, the deleted row
/// is deleted, and no receipt lists a quarantined chunk.
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_rows_are_stored_once_the_constraint_is_dropped() {
    let site = Site::start("quarantine_rows", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    site.store
        .execute("ALTER TABLE claim ADD CONSTRAINT small CHECK (amount < 5000) NOT VALID")
        .await;
    site.core
        .execute(&format!(
            "UPDATE claim SET amount = 7000, updated_at = now() WHERE id <= {ROWS}"
        ))
        .await;
    until("the rows in quarantine", DEADLINE, async || {
        let kept = count_quarantined(&site).await;
        if kept == ROWS { Ok(()) } else { Err(kept) }
    })
    .await;
    // One row is corrected at the core and is sent again, another one is deleted there.
    site.core
        .execute(
            "UPDATE claim SET amount = 8, name = 'repaired', updated_at = now() WHERE id = 7; \
             UPDATE claim SET deleted = true, updated_at = now() WHERE id = 8",
        )
        .await;
    until("the newer versions", DEADLINE, async || {
        let newer = "SELECT count(*) FROM claim WHERE id = 8 OR name = 'repaired'";
        let deleted = "SELECT count(*) FROM slacktide.tombstones";
        let now = (site.store.number(newer).await, site.store.number(deleted).await);
        if now == (1, 1) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await;
    poller
        .wait_status(
            "the count by kind",
            "/quarantine/insurer-a.claim/row/count",
            |count| *count == ROWS,
        )
        .await;
    assert_one_shown(&site).await;

    site.store
        .execute("ALTER TABLE claim DROP CONSTRAINT small")
        .await;
    let retry = [
        "quarantine",
        "retry",
        "--all",
        "--reason",
        "dropped",
        "--config",
        "poller.toml",
    ];
    let start = |name: &str| {
        let mut command = slacktide();
        command.current_dir(site.file(".")).args(retry);
        Process::spawn(name, &mut command)
    };
    // The last row is locked until the retry is killed, so that the retry is in progress then, however slow the machine is.
    let mut locking = site.store.connect().await;
    let lock = locking.transaction().await.unwrap();
    lock.execute("SELECT 1 FROM claim WHERE id = $1 FOR UPDATE", &[&ROWS])
        .await
        .unwrap();
    let mut killed = start("retry");
    until("some of the rows out", DEADLINE, async || {
        let kept = count_quarantined(&site).await;
        if kept < ROWS { Ok(()) } else { Err(kept) }
    })
    .await;
    killed.kill9();
    let left = count_quarantined(&site).await;
    assert!(left > 0, "a locked row was stored");
    lock.rollback().await.unwrap();
    let mut both = [start("one"), start("other")];
    for retry in &mut both {
        let status = retry.wait_exit(DEADLINE).await;
        assert!(status.success(), "{}{}", retry.stdout(), retry.stderr());
    }
    assert_eq!(count_quarantined(&site).await, 0);
    site.wait_until_equal().await;
    let (is_ok, output) = site.command(&retry).await;
    assert!(is_ok && output.contains("nothing is in quarantine"), "{output}");
    until("receipts that list nothing", DEADLINE, async || {
        let reported = ids(&list(&site, "social.toml").await, "reported");
        if reported.is_empty() {
            Ok(())
        } else {
            Err(reported.join(" "))
        }
    })
    .await;
    site.wait_until_equal().await;
    site.assert_evidence_valid().await;
    social.stop().await;
    poller.stop().await;
}

/// Output has no personal data unless requested; the request is in the audit chain.
async fn assert_one_shown(site: &Site) {
    let entries = list(site, "poller.toml").await;
    let rows = ids(&entries, "row");
    assert_eq!(rows.len() as i64, ROWS);
    let id = &rows[0];
    let (is_ok, output) = site
        .command(&["quarantine", "show", &id[..16], "--config", "poller.toml"])
        .await;
    assert!(
        is_ok && output.contains("a check constraint is violated"),
        "{output}"
    );
    assert!(!output.contains("person"), "a value is shown: {output}");
    assert!(!actions(site).await.contains(&"quarantine.reveal".to_owned()));
    let show = [
        "quarantine",
        "show",
        id,
        "--reveal",
        "--actor",
        "li.na",
        "--config",
        "poller.toml",
    ];
    let (is_ok, output) = json(site, &show).await;
    assert!(
        is_ok && output["content"]["name"].as_str().unwrap().starts_with("person"),
        "{output}"
    );
    assert!(actions(site).await.contains(&"quarantine.reveal".to_owned()));
    // The bureau gets every chunk number.
    until("the receipt to list the numbers", DEADLINE, async || {
        let reported = ids(&list(site, "social.toml").await, "reported");
        if reported.is_empty() { Err("none") } else { Ok(()) }
    })
    .await;
    let reported = ids(&list(site, "social.toml").await, "reported");
    let (is_ok, output) = site
        .command(&["quarantine", "retry", &reported[0], "--config", "social.toml"])
        .await;
    assert!(!is_ok && output.contains("repair"), "{output}");
}
