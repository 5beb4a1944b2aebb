//! One, two and four pollers on one durable consumer.

use super::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn pollers_of_any_number_share_work_and_converge() {
    let site = Site::start("pollers", 40_000, "mode = \"open\"").await;
    let social = site.social("social");
    let mut pollers = vec![site.poller("poller-1")];
    site.wait_until_equal().await;
    for (more, from) in [(1, 100_000), (2, 200_000)] {
        for _ in 0..more {
            pollers.push(site.poller(&format!("poller-{}", pollers.len() + 1)));
        }
        for poller in &pollers {
            poller
                .wait_status("a poller to be at work", "/state", |state| state.is_string())
                .await;
        }
        // Enough chunks that each poller finds some in a round.
        site.core
            .execute(&format!(
                "INSERT INTO claim (id, name, memo) SELECT {from} + g, 'more', repeat(md5(g::text), 8) \
                 FROM generate_series(1, 40000) g"
            ))
            .await;
        site.wait_until_equal().await;
    }
    site.assert_ledger_gapless().await;
    site.assert_evidence_valid().await;
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
        "one poller stored everything: {shares:?}"
    );
    social.stop().await;
    for poller in pollers {
        poller.stop().await;
    }
}
