//! Rows that a constraint of the store refused.

use harness::{Process, slacktide, until};

use super::told::{OPEN, actions, ids, json, list};
use crate::path::site::{PATIENCE, Site};

const ROWS: i64 = 700;

async fn kept(site: &Site) -> i64 {
    let kept = "SELECT count(*) FROM slacktide.quarantine WHERE ended IS NULL";
    site.store.number(kept).await
}

/// Whatever is killed and whoever retries at once: in the end core and store agree, the newer
/// version stands, the deleted row stays deleted, and no receipt lists a number.
#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_stored_when_the_constraint_is_gone() {
    let site = Site::start("quarantine_rows", 2_000, OPEN).await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.agree().await;
    site.store
        .execute("ALTER TABLE claim ADD CONSTRAINT small CHECK (amount < 5000) NOT VALID")
        .await;
    site.core
        .execute(&format!(
            "UPDATE claim SET amount = 7000, updated_at = now() WHERE id <= {ROWS}"
        ))
        .await;
    until("the rows in quarantine", PATIENCE, async || {
        let kept = kept(&site).await;
        if kept == ROWS { Ok(()) } else { Err(kept) }
    })
    .await;
    // One is repaired at the core and comes again, one is deleted there.
    site.core
        .execute(
            "UPDATE claim SET amount = 8, name = 'repaired', updated_at = now() WHERE id = 7; \
             UPDATE claim SET deleted = true, updated_at = now() WHERE id = 8",
        )
        .await;
    until("the newer versions", PATIENCE, async || {
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
        .shows("the count by kind", "/held/insurer-a.claim/row/count", |count| {
            *count == ROWS
        })
        .await;
    one_is_shown(&site).await;

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
    // The last of them is locked until the retry is killed, so that it is in the middle of its work then, however slow this
    // machine is.
    let mut locking = site.store.connect().await;
    let lock = locking.transaction().await.unwrap();
    lock.execute("SELECT 1 FROM claim WHERE id = $1 FOR UPDATE", &[&ROWS])
        .await
        .unwrap();
    let mut killed = start("retry");
    until("some of the rows out", PATIENCE, async || {
        let kept = kept(&site).await;
        if kept < ROWS { Ok(()) } else { Err(kept) }
    })
    .await;
    killed.kill9();
    let left = kept(&site).await;
    assert!(left > 0, "a locked row was stored");
    lock.rollback().await.unwrap();
    let mut both = [start("one"), start("other")];
    for retry in &mut both {
        let status = retry.wait_exit(PATIENCE).await;
        assert!(status.success(), "{}{}", retry.stdout(), retry.stderr());
    }
    assert_eq!(kept(&site).await, 0);
    site.agree().await;
    let (well, told) = site.command(&retry).await;
    assert!(well && told.contains("nothing is in quarantine"), "{told}");
    until("receipts that list nothing", PATIENCE, async || {
        let reported = ids(&list(&site, "social.toml").await, "reported");
        if reported.is_empty() {
            Ok(())
        } else {
            Err(reported.join(" "))
        }
    })
    .await;
    site.agree().await;
    site.evidence_holds().await;
    social.stop().await;
    poller.stop().await;
}

/// Without personal data, unless asked; and who asked is in the audit chain.
async fn one_is_shown(site: &Site) {
    let entries = list(site, "poller.toml").await;
    let rows = ids(&entries, "row");
    assert_eq!(rows.len() as i64, ROWS);
    let id = &rows[0];
    let (well, told) = site
        .command(&["quarantine", "show", &id[..16], "--config", "poller.toml"])
        .await;
    assert!(well && told.contains("a check constraint is violated"), "{told}");
    assert!(!told.contains("person"), "a value is told: {told}");
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
    let (well, told) = json(site, &show).await;
    assert!(
        well && told["holds"]["name"].as_str().unwrap().starts_with("person"),
        "{told}"
    );
    assert!(actions(site).await.contains(&"quarantine.reveal".to_owned()));
    // Every number is told to the bureau.
    until("the receipt to list the numbers", PATIENCE, async || {
        let reported = ids(&list(site, "social.toml").await, "reported");
        if reported.is_empty() { Err("none") } else { Ok(()) }
    })
    .await;
    let reported = ids(&list(site, "social.toml").await, "reported");
    let (well, told) = site
        .command(&["quarantine", "retry", &reported[0], "--config", "social.toml"])
        .await;
    assert!(!well && told.contains("repair"), "{told}");
}
