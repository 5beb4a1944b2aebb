//! `slacktide doctor` finds what would stop a lane or slow the core, before an agent is started.

use std::fs;

use harness::until;

use super::site::{DEADLINE, Site};

async fn doctor(site: &Site, config: &str) -> (bool, String) {
    site.command(&["doctor", "--config", config]).await
}

/// Writes a changed copy of a configuration.
fn write_changed(site: &Site, from: &str, to: &str, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(site.file(from)).unwrap();
    let other = change(&text);
    assert_ne!(text, other);
    fs::write(site.file(to), other).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_would_stop_a_lane() {
    let site = Site::start("doctor", 500, "mode = \"open\"").await;
    let (social, poller) = (site.social("social"), site.poller("poller"));
    site.wait_until_equal().await;
    // While the agents run, the doctor finds nothing.
    for (config, good) in [
        ("social.toml", ["orders", "an agent answers at"]),
        (
            "poller.toml",
            [
                "the store holds everything that it acknowledged",
                "an agent answers at",
            ],
        ),
    ] {
        let (is_well, report) = doctor(&site, config).await;
        assert!(is_well && !report.contains("would stop"), "{report}");
        assert!(good.iter().all(|good| report.contains(good)), "{report}");
    }
    social.stop().await;

    site.core.execute("DROP INDEX claim_updated_at_id_idx").await;
    let (is_well, report) = doctor(&site, "social.toml").await;
    let missing = report.lines().find(|line| line.contains("no index serves"));
    let line = missing.unwrap_or_else(|| panic!("{report}"));
    assert!(is_well && line.trim_start().starts_with("warn"), "{report}");
    let (_, statement) = line.split_once("run: ").unwrap();
    site.core.execute(statement).await;
    let (_, report) = doctor(&site, "social.toml").await;
    assert!(!report.contains("no index serves"), "{report}");

    write_changed(&site, "social.toml", "changed.toml", |text| {
        text.replace("memo FROM claim", "memo FROM claim WHERE id > 0")
    });
    let (_, report) = doctor(&site, "changed.toml").await;
    let stop = "would stop: feed definition changed";
    let is_lane = |line: &str| line.contains("lane insurer-a.claim") && line.contains(stop);
    assert!(report.lines().any(is_lane), "{report}");

    site.core
        .execute("ALTER TABLE claim RENAME TO older; CREATE TABLE claim AS TABLE older; ALTER TABLE claim ADD PRIMARY KEY (id)")
        .await;
    site.core
        .execute(&format!("GRANT SELECT ON claim TO {}", site.reader))
        .await;
    let (_, report) = doctor(&site, "social.toml").await;
    assert!(report.contains("would stop: the source changed"), "{report}");

    // A receipt may be in transit while the poller runs.
    write_changed(&site, "poller.toml", "other.toml", |text| {
        text.replace(site.store.name(), site.core.name())
    });
    until("the receipts to be another store's", DEADLINE, async || {
        let (is_well, report) = doctor(&site, "other.toml").await;
        match report.contains("was signed for store") && !is_well {
            true => Ok(()),
            false => Err(report),
        }
    })
    .await;
    poller.stop().await;
}
