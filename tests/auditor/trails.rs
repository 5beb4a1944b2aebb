//! The trail of a person equals the truth at the core: over feeds and answers, masked, withheld and plain rows.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness::{free_port, until};
use serde_json::{Value, json};

use super::site::{run, write_auditor};
use crate::gate_config::STOP_FILE_GATE;
use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::{INSURERS, RequestSite};

const ROWS: u32 = 3_000;

/// The person who is asked about, one who is in the feeds only, and one whom a hold withholds.
const ASKED: &str = "p000007";
const PLAIN: &str = "p000012";
const HELD: &str = "p000011";

const WHY: [&str; 4] = ["--actor", "wang.wei", "--reason", "access request 7"];

/// Returns the keys of a person's rows at the core.
async fn truth(site: &RequestSite, person: &str) -> BTreeSet<String> {
    let sql = format!("SELECT id::text FROM claim WHERE psn_no = '{person}'");
    let rows = site.core.query(&sql).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Makes a person's mark at the bureau and returns the auditor's trail.
async fn trail(site: &RequestSite, person: &str) -> Value {
    let mark = "mark.toml";
    let _ = fs::remove_file(site.file(mark));
    let line = [
        "masking",
        "mark",
        "--config",
        "bureau.toml",
        "--person",
        person,
        "--out",
        mark,
    ];
    let (done, output) = site.command(&line).await;
    assert!(done, "{output}");
    let mode = fs::metadata(site.file(mark)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = [
        "audit",
        "person",
        "--json",
        "--config",
        "auditor.toml",
        "--mark",
        mark,
    ];
    let (code, report) = run(site, &[&line[..], &WHY].concat()).await;
    assert_eq!((code, &report["not_covered"]), (Some(0), &json!([])), "{report}");
    assert!(!report.to_string().contains(person), "the number is in the trail");
    report
}

fn items<'a>(report: &'a Value, kind: &str, recipient: &str) -> Vec<&'a Value> {
    let items = report["items"].as_array().unwrap().iter();
    let is_wanted =
        |item: &&Value| item["kind"] == kind && (recipient.is_empty() || item["recipient"] == recipient);
    items.filter(is_wanted).collect()
}

/// Asserts that the chunks for a recipient hold exactly these rows of the person.
fn assert_sent(report: &Value, recipient: &str, truth: &BTreeSet<String>, by: &str) {
    let chunks = items(report, "chunk", recipient);
    let mut keys = Vec::new();
    for chunk in &chunks {
        assert_eq!(chunk["matched"], json!({ "psn_no": [by] }), "{chunk}");
        assert_eq!(
            (&chunk["is_verified"], &chunk["is_receipted"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(
            chunk["columns"],
            json!(["id", "updated_at", "psn_no", "day", "amount"])
        );
        let masks = if by == "token" {
            json!({ "psn_no": "token" })
        } else {
            json!({})
        };
        assert_eq!(chunk["masks"], masks, "{chunk}");
        let rows = chunk["row_keys"].as_array().unwrap();
        assert_eq!(chunk["rows"], rows.len());
        keys.extend(rows.iter().map(|key| key[0].as_str().unwrap().to_owned()));
    }
    assert_eq!(keys.len(), truth.len(), "no row twice");
    assert_eq!(&keys.into_iter().collect::<BTreeSet<_>>(), truth);
}

async fn wait_stored(site: &RequestSite, rows: usize) {
    until("the rows at both stores", DEADLINE, async || {
        let line = ["audit", "verify", "--json", "--config", "auditor.toml"];
        let report = site.json(&line).await;
        let lanes = report["lanes"].as_array().cloned().unwrap_or_default();
        let done = |lane: &Value| lane["rows"] == rows;
        // Chunks without a receipt yet, and requests without a reply.
        let waits = |text: &Value| {
            ["arrival", "without a reply"]
                .iter()
                .any(|word| text.as_str().unwrap().contains(word))
        };
        let waits = report["not_covered"].as_array().unwrap().iter().any(waits);
        if lanes.len() == 2 && lanes.iter().all(done) && !waits {
            Ok(())
        } else {
            Err(report.to_string())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trail_of_a_person_equals_the_truth_at_the_core() {
    let mut site = RequestSite::start("trail", ROWS, STOP_FILE_GATE).await;
    let masks = "person = \"psn_no\"\n[feed.masks.insurer-b]\npsn_no = \"token\"\n";
    site.kinds = format!("{masks}{}", site.kinds);
    site.write_social("bureau", free_port());
    write_auditor(&site);
    let hold = [
        "hold",
        "add",
        "--person",
        HELD,
        "--config",
        "bureau.toml",
        "--actor",
        "li.na",
    ];
    let (done, output) = site
        .command(&[&hold[..], &["--reason", "objection 17"]].concat())
        .await;
    assert!(done, "{output}");
    let mut agents = vec![site.bureau().await];
    agents.extend(INSURERS.map(|insurer| site.commercial(insurer, insurer)));
    let [asked, plain, held] = [
        truth(&site, ASKED).await,
        truth(&site, PLAIN).await,
        truth(&site, HELD).await,
    ];
    let argument = format!("psn_no={ASKED}");
    let arguments = [argument.as_str(), "from=2026-01-01", "to=2026-12-31"];
    let mut requests = Vec::new();
    for insurer in INSURERS {
        let id = site.ask(insurer, "claim.by_person", &arguments, &[]).await;
        site.wait_state(insurer, &id, "stored_by_insurer").await;
        requests.push(id);
    }
    wait_stored(&site, ROWS as usize - held.len()).await;
    for agent in agents {
        agent.stop().await;
    }

    // Feeds: plain for insurer-a, by the token for insurer-b.
    for (person, truth) in [(ASKED, &asked), (PLAIN, &plain)] {
        let report = trail(&site, person).await;
        assert_sent(&report, "insurer-a", truth, "number");
        assert_sent(&report, "insurer-b", truth, "token");
        assert_eq!(report["withheld"], json!([]));
        let is_asked = usize::from(person == ASKED);
        for kind in ["request", "reply", "confirmation"] {
            assert_eq!(items(&report, kind, "").len(), 2 * is_asked, "{kind}: {report}");
        }
        // Answers: every row of it, on the basis of the request.
        for (insurer, id) in INSURERS.iter().zip(&requests) {
            let parts = items(&report, "part", insurer);
            let rows: u64 = parts.iter().map(|part| part["rows"].as_u64().unwrap()).sum();
            assert_eq!(rows, (truth.len() * is_asked) as u64);
            for request in items(&report, "request", insurer) {
                assert_eq!(request["request"], **id);
                assert_eq!(request["basis"], "purpose 01, legal basis 01");
            }
            for part in parts {
                let masks = match *insurer {
                    "insurer-a" => json!({ "psn_name": "keep" }),
                    _ => json!({ "psn_no": "token" }),
                };
                assert_eq!(part["masks"], masks, "{part}");
            }
        }
    }

    // Withheld rows are in no chunk; the order, its audit entry and the counts of both lanes are found.
    let report = trail(&site, HELD).await;
    assert!(items(&report, "chunk", "").is_empty() && items(&report, "part", "").is_empty());
    let orders = items(&report, "order", "");
    assert!(orders.len() == 1 && orders[0]["summary"].as_str().unwrap().contains("objection 17"));
    assert!(!items(&report, "audit_entry", "").is_empty(), "{report}");
    let withheld: Vec<&Value> = report["withheld"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["rows"])
        .collect();
    assert_eq!(withheld, [&json!(held.len()); 2], "{report}");

    assert_request_and_questions(&site, &requests[0]).await;
}

/// The trail of a request has its whole life, and every question is recorded without the number.
async fn assert_request_and_questions(site: &RequestSite, id: &str) {
    let line = ["audit", "request", id, "--json", "--config", "auditor.toml"];
    let (code, report) = run(site, &[&line[..], &WHY].concat()).await;
    assert_eq!(code, Some(0), "{report}");
    for kind in ["request", "part", "reply", "confirmation"] {
        assert_eq!(items(&report, kind, "insurer-a").len(), 1, "{kind}: {report}");
    }
    assert_eq!(report["contradictions"], json!([]));
    assert!(
        report["keys"].as_array().unwrap().len() == 2 && !report.to_string().contains(ASKED),
        "{report}"
    );

    let (code, list) = run(
        site,
        &["audit", "questions", "--json", "--config", "auditor.toml"],
    )
    .await;
    let recorded = list["items"].as_array().unwrap();
    let actions: Vec<&str> = recorded
        .iter()
        .map(|one| one["action"].as_str().unwrap())
        .collect();
    assert_eq!(code, Some(0));
    assert_eq!(
        actions,
        ["person.trail", "person.trail", "person.trail", "request.trail"]
    );
    assert_eq!(recorded[3]["detail"]["request"], *id);
    let bytes = fs::read(site.file("questions.slq")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        text.contains("access request 7") && !text.contains(ASKED),
        "{text}"
    );

    // A record that was changed answers no question.
    fs::write(site.file("questions.slq"), &bytes[..bytes.len() - 1]).unwrap();
    let done = site.run_command(&[&line[..], &WHY].concat()).await;
    assert_eq!(done.status.code(), Some(7), "{}{}", done.stdout, done.stderr);
}
