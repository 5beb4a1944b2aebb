//! What was not manipulated verifies without a fault, from files and live.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness::{Process, free_port, run, slacktide, verify_program};
use serde_json::Value;

use super::offline::{Messages, list, trust, verify_files};
use super::rich_site::{live_site, rich_export, verify_live};
use crate::pipeline::site::DEADLINE;
use crate::requests::request_site::RequestSite;

#[tokio::test(flavor = "multi_thread")]
async fn evidence_rich_export_verifies_without_a_fault() {
    let export = rich_export().await;
    let found = verify_files(&export.files, &trust(export));
    let findings = &found.findings;
    assert!(findings.is_sound(), "{}", list(&findings.faults));
    assert!(found.is_complete, "{:?}", findings.not_covered);
    let counts = [
        findings.chunks_verified,
        findings.receipts_verified,
        findings.requests_verified,
        findings.cancels_verified,
        findings.approvals_verified,
        findings.parts_verified,
        findings.replies_verified,
        findings.confirms_verified,
        findings.entries_verified,
        findings.orders_verified,
        findings.loads_checked,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    assert_eq!((findings.requests.filed, findings.requests.replied), (5, 5));
    let lane = &findings.lanes["insurer-a.claim"];
    // At least the agents before and after the rotation; the operator's command that opens the epoch may publish, too.
    assert!(lane.epoch == 2 && lane.publishers.len() >= 2, "{lane:?}");
    assert!(
        findings
            .keys
            .iter()
            .any(|used| used.key == *export.bureau[0].public())
    );
    assert!(
        findings
            .keys
            .iter()
            .any(|used| used.key == *export.bureau[1].public())
    );

    // The program prints the same, on 80 columns and as JSON.
    let mut command = verify_program();
    command
        .arg("--trust")
        .arg(export.path("trust.toml"))
        .arg(export.path("export"));
    let text = run("slacktide-verify", &mut command, DEADLINE).await;
    assert!(text.status.success(), "{}{}", text.stdout, text.stderr);
    assert!(
        text.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        text.stdout
    );
    let done = run("slacktide-verify", command.arg("--json"), DEADLINE).await;
    crate::cli_schema::check(&["audit", "verify", "--json"], &done.stdout);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["is_complete"], true);
    assert_eq!(report["chunks_verified"], findings.chunks_verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_export_is_the_same_in_any_split() {
    let export = rich_export().await;
    let messages = Messages::of(&export.files);
    let chunks = messages.clone().of_stream("data.insurer-a").clone();
    let middle = chunks[chunks.len() / 2].stored_at;
    for split in [None, Some(middle)] {
        let files = messages.write_until(&export.auditor, split);
        assert_eq!(
            files,
            messages.write_until(&export.auditor, split),
            "deterministic"
        );
        let found = verify_files(&files, &trust(export));
        assert!(found.findings.is_sound(), "{}", list(&found.findings.faults));
        assert!(found.is_complete);
    }
    // The second file alone is valid, and the report names the missing first one.
    let files = messages.write_until(&export.auditor, Some(middle));
    let found = verify_files(&files[1..].to_vec(), &trust(export));
    assert!(found.findings.is_sound(), "{}", list(&found.findings.faults));
    assert!(!found.is_complete);
    let covered = found.findings.not_covered.join("\n");
    assert!(
        covered.contains("files 1 to 1") && covered.contains("data.insurer-a before sequence"),
        "{covered}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_live_streams_and_replay_reach_their_ends() {
    let site = live_site("evidence_live").await;
    let report = verify_live(&site).await;
    assert_eq!(report["faults"], Value::Array(Vec::new()), "{report}");
    assert!(report["verified"]["orders"].as_u64() > Some(0), "{report}");

    // An export goes on where the last one ended, and what is new is in the next file.
    let export = [
        "audit",
        "export",
        "--config",
        "auditor.toml",
        "--out",
        "export",
        "--json",
    ];
    let first = site.json(&export).await;
    assert_eq!(
        (&first["is_complete"], first["items"].as_array().unwrap().len()),
        (&Value::Bool(true), 1)
    );
    let bytes = fs::read(site.file("export/000001.slx")).unwrap();
    let again = site.json(&[&export[..5], &["again", "--json"]].concat()).await;
    assert_eq!(again["records"], first["records"]);
    assert_eq!(
        fs::read(site.file("again/000001.slx")).unwrap(),
        bytes,
        "deterministic"
    );
    assert_eq!(
        site.json(&export).await["items"],
        Value::Array(Vec::new()),
        "nothing is new"
    );
    let line = [
        "gate",
        "pause",
        "--actor",
        "li.na",
        "--reason",
        "end",
        "--config",
        "bureau.toml",
    ];
    let (done, output) = site.command(&line).await;
    assert!(done, "{output}");
    let next = site.json(&export).await;
    assert_eq!(next["items"][0]["number"], 2, "{next}");
    let (_, trust) = site
        .command(&["audit", "trust", "--config", "auditor.toml"])
        .await;
    fs::write(site.file("trust.toml"), trust).unwrap();
    let mut command = verify_program();
    command
        .arg("--trust")
        .arg(site.file("trust.toml"))
        .arg(site.file("export"));
    let verified = run("slacktide-verify", &mut command, DEADLINE).await;
    assert!(
        verified.status.success(),
        "{}{}",
        verified.stdout,
        verified.stderr
    );

    // A replay names where to continue, and changes no consumer.
    let consumers = site
        .json(&["exchange", "status", "--json", "--config", "admin.toml"])
        .await;
    let replay = site
        .run_command(&[
            "audit",
            "replay",
            "--config",
            "auditor.toml",
            "--feed",
            "claim",
            "--rows",
            "--format",
            "csv",
            "--recipient",
            "insurer-a",
        ])
        .await;
    assert!(replay.status.success(), "{}", replay.stderr);
    let rows = replay.stdout.lines().count() - 1;
    let lanes = report["lanes"].as_array().unwrap();
    let lane = lanes
        .iter()
        .find(|lane| lane["lane"] == "insurer-a.claim")
        .unwrap();
    assert_eq!(rows as u64, lane["rows"].as_u64().unwrap());
    assert!(
        replay
            .stdout
            .starts_with("_subject,_sequence,_stored_at,_epoch,_number,id,updated_at")
    );
    assert!(
        replay.stderr.contains("continue with --from"),
        "{}",
        replay.stderr
    );
    let after = site
        .json(&["exchange", "status", "--json", "--config", "admin.toml"])
        .await;
    assert_eq!(consumers, after, "a replay changes no consumer");

    // Through a gateway the same commands find and write the same.
    let gateway = start_gateway(&site).await;
    let audit =
        |verb: &'static [&'static str]| [&["audit"], verb, &["--config", "auditor-gateway.toml"]].concat();
    let through = site.json(&audit(&["verify", "--json"])).await;
    let direct = verify_live(&site).await;
    for part in ["faults", "verified", "lanes", "not_covered"] {
        assert!(!direct[part].is_null(), "{direct}");
        assert_eq!(through[part], direct[part], "{part}");
    }
    site.json(&audit(&["export", "--json", "--out", "through"])).await;
    site.json(&[&export[..5], &["direct", "--json"]].concat()).await;
    let [through, direct] =
        ["through", "direct"].map(|folder| fs::read(site.file(&format!("{folder}/000001.slx"))));
    assert_eq!(through.unwrap(), direct.unwrap(), "the exports differ");
    let words = [
        "replay",
        "--feed",
        "claim",
        "--rows",
        "--format",
        "csv",
        "--recipient",
        "insurer-a",
    ];
    let again = site
        .run_command(&[&["audit"], &words[..], &["--config", "auditor-gateway.toml"]].concat())
        .await;
    assert_eq!(again.stdout, replay.stdout);
    drop(gateway);

    let id = {
        let listed = site
            .json(&["request", "list", "--json", "--config", "insurer-a.toml"])
            .await;
        listed["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let replay = site
        .run_command(&[
            "audit",
            "replay",
            "--config",
            "auditor.toml",
            "--request",
            &id,
            "--format",
            "text",
        ])
        .await;
    assert!(
        replay.stdout.contains(&format!("request.insurer-a.{id}")),
        "{}",
        replay.stdout
    );
    assert!(
        replay.stdout.contains(&format!("reply.insurer-a.{id}")),
        "{}",
        replay.stdout
    );
}

/// Starts a gateway that serves the auditor, and writes the auditor's configuration for it.
async fn start_gateway(site: &RequestSite) -> Process {
    let port = free_port();
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens.json\"\n[exchange]\nurl = \"{}\"\n\
         [[party]]\nname = \"auditor\"\nrole = \"auditor\"\nseed = {{ file = \"keys/auditor/connect.seed\" }}\n",
        site.nats.url()
    );
    fs::write(site.file("gateway.toml"), text).unwrap();
    let (done, token) = site
        .command(&[
            "gateway",
            "token",
            "new",
            "--party",
            "auditor",
            "--config",
            "gateway.toml",
        ])
        .await;
    assert!(done, "{token}");
    fs::write(site.file("auditor.token"), token.lines().next().unwrap()).unwrap();
    fs::set_permissions(site.file("auditor.token"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = slacktide();
    command
        .args(["gateway", "run", "--config"])
        .arg(site.file("gateway.toml"));
    let mut gateway = Process::spawn("gateway", &mut command);
    let direct = fs::read_to_string(site.file("auditor.toml")).unwrap();
    let (head, rest) = direct.split_once("user = ").unwrap();
    assert!(head.starts_with("[exchange]"));
    let text = format!(
        "[exchange]\nurl = \"http://127.0.0.1:{port}\"\ntoken = {{ file = \"auditor.token\" }}\nuser = {rest}"
    );
    fs::write(site.file("auditor-gateway.toml"), text).unwrap();
    gateway
        .until("the gateway to answer", DEADLINE, async || {
            let (done, output) = site
                .command(&["doctor", "--config", "auditor-gateway.toml"])
                .await;
            if done { Ok(()) } else { Err(output) }
        })
        .await;
    gateway
}
