//! One, two and four pollers on one durable.

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_pollers_ends_in_the_same_state_and_shares_the_work() {
    let site = Site::start("pollers", 40_000, "mode = \"open\"").await;
    let social = site.social("social");
    let mut pollers = vec![site.poller("poller-1")];
    site.agree().await;
    for (more, from) in [(1, 100_000), (2, 200_000)] {
        for _ in 0..more {
            pollers.push(site.poller(&format!("poller-{}", pollers.len() + 1)));
        }
        for poller in &pollers {
            poller
                .shows("a poller to be at work", "/state", |state| state.is_string())
                .await;
        }
        // Enough chunks for all of them to find some at a tick.
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name, memo) SELECT {from} + g, 'more', repeat(md5(g::text), 8) \
                 FROM generate_series(1, 40000) g"
            ))
            .await;
        site.agree().await;
    }
    site.ledger_is_gapless().await;
    site.evidence_holds().await;
    let mut shares = Vec::new();
    for poller in &pollers {
        let status = poller.status().await.unwrap();
        shares.push(
            status
                .pointer("/lanes/insurer-a.claim/chunks")
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(0),
        );
    }
    assert!(
        shares.iter().filter(|share| **share > 0).count() >= 2,
        "one poller did all of it: {shares:?}"
    );
    social.stop().await;
    for poller in pollers {
        poller.stop().await;
    }
}
