//! A table with every type of a core, through the real processes: each value is compared. A value that cannot be carried is
//! counted and quarantined, and stops nothing.

use serde_json::Value;

use super::files::OPEN;
use super::large;
use super::site::{SOON, Site};
use crate::types::{CORE_SETUP, Case, Databases, STORE_SETUP};
use harness::until_with_progress;

async fn pair(from_postgres: bool, to_postgres: bool) {
    let mut site = Site::start().await;
    let case = Case::of_every_type(from_postgres, to_postgres);
    let databases = Databases {
        from_postgres,
        to_postgres,
        core: site.core.clone(),
        insurer: site.insurer.clone(),
        folder: site.path(""),
    };
    site.core.execute(CORE_SETUP).await;
    site.insurer.execute(STORE_SETUP).await;
    databases.create(&case).await.unwrap();
    large::create(&site, from_postgres).await;
    let (source, store) = (
        if from_postgres {
            let grant = format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", site.reader);
            site.core.execute(&grant).await;
            site.postgres_source()
        } else {
            "kind = \"sqlite\"\npath = \"core.db\"".to_owned()
        },
        if to_postgres {
            site.postgres_store()
        } else {
            "kind = \"sqlite\"\npath = \"store.db\"".to_owned()
        },
    );
    let feed = format!(
        "[[feed]]\nname = \"{0}\"\nsql = \"SELECT * FROM {0}\"\ncursor = {1:?}\ncursor_set_by = \"application\"\n\
         lag = \"100ms\"\nkey = {2:?}\nrecipients = [\"insurer-a\"]\n",
        case.name(),
        case.cursor(),
        case.key_names()
    );
    let (source, feed) = (
        format!("{source}\nstatement_timeout = \"30s\""),
        format!("{feed}{}", large::FEED),
    );
    site.social("s1", &source, OPEN, &feed);
    site.commercial("c1", &store);
    site.start_agent("s1", "social");
    site.start_agent("c1", "commercial");
    let (carried, rejected, refused) = case.fates();
    let lane = format!("insurer-a.{}", case.name());
    let lane_count = |status: &Value, name: &str| status["lanes"][&lane][name].as_u64();
    let stored = u64::try_from(carried + refused).ok();
    site.wait_status("c1", "all rows", |status| lane_count(status, "rows") == stored)
        .await;
    // A chunk of rejects alone may be the last one.
    until_with_progress("both databases to be equal", SOON, async || {
        databases.check_quarantine(&case).await?;
        databases.check_equal(&case).await
    })
    .await;
    let status = site.status("c1").await.unwrap();
    assert_eq!(
        lane_count(&status, "rows_quarantined"),
        u64::try_from(refused).ok(),
        "{status:#}"
    );
    site.wait_status("s1", "all rejects to be counted", |status| {
        lane_count(status, "rejects") == u64::try_from(rejected).ok()
    })
    .await;
    large::wait_stored(&site, from_postgres, to_postgres).await;
    assert!(
        rejected > 0 || from_postgres,
        "the table has what cannot be carried"
    );
    site.assert_chain_valid(1).await;
}

#[tokio::test]
async fn every_type_from_postgres_to_postgres() {
    pair(true, true).await;
}

#[tokio::test]
async fn every_type_from_postgres_to_sqlite() {
    pair(true, false).await;
}

#[tokio::test]
async fn every_type_from_sqlite_to_postgres() {
    pair(false, true).await;
}

#[tokio::test]
async fn every_type_from_sqlite_to_sqlite() {
    pair(false, false).await;
}
