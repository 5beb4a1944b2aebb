//! Audit chains that are consistent in themselves but lack entries that chunks or the auditor's own file name.

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, Published, Stored};
use nats::topology::Admin;
use schemas::audit::AuditEntry;
use schemas::envelope::Envelope;
use schemas::sign::SigningKey;
use schemas::subject::Subject;
use serde_json::{Value, json};

use super::order_commands::{connect, give_order};
use super::site::{Site, with_long_lease};

const OPEN: &str = "mode = \"open\"";

async fn verify(site: &Site, since: bool) -> (Option<i32>, Value) {
    let words = [
        "audit",
        "verify",
        "--json",
        "--config",
        "auditor.toml",
        "--since",
        "heads.json",
    ];
    let (code, output) = site
        .command_stdout(if since { &words } else { &words[..5] })
        .await;
    (
        code,
        serde_json::from_str(&output).unwrap_or_else(|_| panic!("no JSON: {output}")),
    )
}

/// Returns the faults' subjects and texts as one text.
fn faults(findings: &Value) -> String {
    findings["faults"].to_string()
}

/// Replaces the entries of the audit stream.
async fn replace(site: &Site, entries: &[Stored]) {
    let admin = Admin::new(connect(site, "admin").await);
    admin.api("STREAM.DELETE.AUDIT_bureau", &json!({})).await.unwrap();
    let (is_done, output) = site
        .command(&["exchange", "apply", "--yes", "--config", "admin.toml"])
        .await;
    assert!(is_done, "{output}");
    let bureau = connect(site, "bureau").await;
    for entry in entries {
        let Ok(Subject::Audit(party, writer)) = entry.subject.parse() else {
            panic!("{} is no audit subject", entry.subject);
        };
        let last = bureau.last_audit(&party, &writer).await.unwrap();
        let expected = last.map_or(0, |last| last.sequence);
        let published = bureau.publish_audit(&party, &writer, entry.bytes.clone(), expected);
        assert!(matches!(published.await.unwrap(), Published::Done { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn anchored_audit_chain_cannot_be_cut_restored_or_rewritten() {
    let mut site = Site::start("anchored", 100, OPEN).await;
    let (social, poller) = (site.social_with("social", with_long_lease), site.poller("poller"));
    site.wait_until_equal().await;
    give_order(&site, &["gate", "limit", "--duty", "50%"]).await;
    social
        .wait_status(
            "its entry to be named",
            "/orders/audit/audit.bureau.operator/number",
            |number| *number == 1,
        )
        .await;
    let (code, _) = verify(&site, true).await;
    assert_eq!(code, Some(0), "the first run makes the file");
    let copy = site.nats.copy_store();
    give_order(&site, &["gate", "limit", "--duty", "100%"]).await;
    social
        .wait_status(
            "its entry to be named",
            "/orders/audit/audit.bureau.operator/number",
            |number| *number == 2,
        )
        .await;
    site.core
        .execute("INSERT INTO claim (id, name, amount) SELECT 1000 + g, 'later ' || g, 1.00 FROM generate_series(1, 50) g")
        .await;
    site.wait_until_equal().await;
    social.stop().await;
    poller.stop().await;
    let (code, findings) = verify(&site, true).await;
    assert_eq!(code, Some(0), "{findings}");

    let auditor = connect(&site, "auditor").await;
    let all = auditor
        .read(Stream::Audit, ReadFrom::Sequence(1), "audit.bureau.*", 1_000)
        .await
        .unwrap();
    let operator = |stored: &&Stored| stored.subject == "audit.bureau.operator";
    let last = all.iter().rposition(|stored| operator(&stored)).unwrap();
    let mut cut = all.clone();
    cut.remove(last);
    replace(&site, &cut).await;
    // The chunk names the missing entry, with and without the auditor's file.
    for since in [false, true] {
        let (code, findings) = verify(&site, since).await;
        let found = faults(&findings);
        assert_eq!(code, Some(7), "{found}");
        assert!(
            found.contains("audit.bureau.operator") && found.contains("insurer-a.claim chunk 1."),
            "{found}"
        );
    }

    // Rewritten with the bureau's own signing key.
    let seed = std::fs::read_to_string(site.file("keys/bureau/sign.seed")).unwrap();
    let key = SigningKey::from_seed(seed.trim()).unwrap();
    let mut entry: AuditEntry = Envelope::decode(&all[last].bytes).unwrap().read().unwrap();
    entry.reason = "another reason".into();
    let mut rewritten = all.clone();
    let bytes = Envelope::sign(&entry, Vec::new(), &key)
        .unwrap()
        .encode()
        .unwrap();
    rewritten[last].bytes = Bytes::from(bytes);
    replace(&site, &rewritten).await;
    for since in [false, true] {
        let (code, findings) = verify(&site, since).await;
        let found = faults(&findings);
        assert_eq!(code, Some(7), "{found}");
        assert!(
            found.contains("audit.bureau.operator") && found.contains("rewritten"),
            "{found}"
        );
    }

    // A whole chain is gone.
    let mut shorter = all.clone();
    shorter.retain(|stored| operator(&stored));
    if shorter.len() < all.len() {
        replace(&site, &shorter).await;
        let (code, findings) = verify(&site, true).await;
        assert_eq!(code, Some(7), "{findings}");
    }

    replace(&site, &all).await;
    let (code, findings) = verify(&site, true).await;
    assert_eq!(code, Some(0), "the chain is whole again: {findings}");

    // An older copy of the whole exchange is consistent in itself.
    let kept = std::fs::read_to_string(site.file("heads.json")).unwrap();
    site.nats.restore_store(&copy).await;
    let (code, findings) = verify(&site, false).await;
    assert_eq!(code, Some(0), "{findings}");
    let (code, findings) = verify(&site, true).await;
    let found = faults(&findings);
    assert_eq!(code, Some(7), "{found}");
    for place in [
        "audit.bureau.operator",
        "data.insurer-a.claim",
        "receipt.insurer-a.claim",
    ] {
        assert!(found.contains(place), "{place}: {found}");
    }
    let now = std::fs::read_to_string(site.file("heads.json")).unwrap();
    assert_eq!(now, kept, "heads that cannot be confirmed must be kept");
    for text in [
        "",
        "{",
        "{\"version\":2,\"at\":\"2026-01-01T00:00:00Z\",\"heads\":{\"chunks\":{},\"receipts\":{},\"entries\":{}}}",
    ] {
        std::fs::write(site.file("heads.json"), text).unwrap();
        let words = [
            "audit",
            "verify",
            "--config",
            "auditor.toml",
            "--since",
            "heads.json",
        ];
        let (is_sound, output) = site.command(&words).await;
        assert!(!is_sound && output.contains("heads.json"), "{output}");
    }
}
