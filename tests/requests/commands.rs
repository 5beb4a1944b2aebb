//! Commands of an insurer's clerk: their output and exit codes.

use std::fs;

use serde_json::Value;

use super::request_site::{RequestSite, states};
use crate::gate_config::STOP_FILE_GATE;

const AT_A: [&str; 2] = ["--config", "insurer-a.toml"];

/// Runs a command of the first insurer; returns its exit code and output.
async fn run_as_first_insurer(request_site: &RequestSite, arguments: &[&str]) -> (i32, String, String) {
    let done = request_site.run_command(&[arguments, &AT_A[..]].concat()).await;
    (done.status.code().unwrap_or(-1), done.stdout, done.stderr)
}

async fn start_ready_site(
    name: &str,
) -> (
    RequestSite,
    crate::pipeline::site::Agent,
    crate::pipeline::site::Agent,
) {
    let mut request_site = RequestSite::start(name, 2_000, STOP_FILE_GATE).await;
    request_site.more = "[requests.quota.insurer-a]\nrequests_an_hour = 2\n".to_owned();
    let (social, commercial) = (
        request_site.bureau().await,
        request_site.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    (request_site, social, commercial)
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_an_answer_has_its_exit_code() {
    let (request_site, social, commercial) = start_ready_site("commands").await;
    let keyed = |key: &'static str| ["--key", key];
    let day = ["day=2026-01-05"];
    let answered = request_site
        .ask("insurer-a", "claim.day", &day, &keyed("k1"))
        .await;
    request_site
        .wait_state("insurer-a", &answered, "stored_by_insurer")
        .await;
    let refused = request_site
        .ask("insurer-a", "claim.none", &day, &keyed("k2"))
        .await;
    request_site.wait_state("insurer-a", &refused, "refused").await;

    for format in ["table", "csv", "jsonl", "json"] {
        let (code, out, err) = run_as_first_insurer(
            &request_site,
            &["request", "result", &refused, "--format", format],
        )
        .await;
        assert_eq!(code, 10, "{format}: {out}{err}");
        assert!(err.contains("unknown_kind"), "{format}: {err}");
        if format == "json" {
            let output: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(
                (&output["outcome"], &output["code"]),
                (&"refused".into(), &"unknown_kind".into())
            );
        } else {
            assert_eq!(out, "", "{format}");
        }
    }
    let (code, out, err) = run_as_first_insurer(
        &request_site,
        &["request", "result", &answered, "--format", "csv"],
    )
    .await;
    assert!(code == 0 && out.starts_with("day,claims,total\n"), "{out}{err}");

    // Ids may be shortened as long as they are unique.
    let (code, out, err) = run_as_first_insurer(&request_site, &["request", "show", &answered[..20]]).await;
    assert!(code == 0 && out.starts_with(&answered), "{out}{err}");
    let (code, _, err) = run_as_first_insurer(&request_site, &["request", "show", &answered[..9]]).await;
    assert!(
        code == 2 && err.contains("several requests begin") && err.contains(&refused),
        "{err}"
    );
    let (code, _, err) = run_as_first_insurer(&request_site, &["request", "show", "20200101-zz"]).await;
    assert!(code == 2 && err.contains("no request"), "{err}");

    let cancel = [
        "request", "cancel", &answered, "--reason", "late", "--actor", "clerk",
    ];
    let (code, _, err) = run_as_first_insurer(&request_site, &cancel).await;
    assert!(code == 11 && err.contains("answered"), "{code}: {err}");

    let (code, out, err) = run_as_first_insurer(&request_site, &["request", "list"]).await;
    assert!(code == 0 && out.starts_with("ID "), "{out}{err}");
    assert!(
        out.lines()
            .any(|line| line.starts_with(&answered) && line.contains(" k1 ")),
        "{out}"
    );
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_asked_again_once_for_each_refusal() {
    let (request_site, social, commercial) = start_ready_site("again").await;
    let file = |kind: &'static str, more: &'static [&'static str]| {
        let first = [
            "request",
            "file",
            "--kind",
            kind,
            "--arg",
            "day=2026-01-05",
            "--purpose",
            "01",
            "--basis",
            "01",
        ];
        [&first[..], &["--actor", "clerk", "--key", "k1", "--json"], more].concat()
    };
    let id = |out: &str| {
        let output: Value = serde_json::from_str(out).unwrap();
        let item = &output["items"][0];
        (item["id"].as_str().unwrap().to_owned(), item["result"] == "filed")
    };
    let (code, out, _) = run_as_first_insurer(&request_site, &file("claim.none", &[])).await;
    let (first, is_new) = id(&out);
    assert!(code == 0 && is_new);
    request_site.wait_state("insurer-a", &first, "refused").await;
    let (code, out, err) = run_as_first_insurer(&request_site, &file("claim.none", &[])).await;
    assert_eq!((code, id(&out)), (10, (first.clone(), false)), "{err}");
    assert!(
        err.contains("nothing was filed") && err.contains("--again"),
        "{err}"
    );

    let (code, out, err) = run_as_first_insurer(&request_site, &file("claim.none", &["--again"])).await;
    let (second, is_new) = id(&out);
    assert!(code == 0 && is_new && second != first, "{out}{err}");
    request_site.wait_state("insurer-a", &second, "refused").await;
    // The gate is closed, so the third attempt waits: however often it is repeated, it is one request.
    social.stop().await;
    let (code, out, _) = run_as_first_insurer(&request_site, &file("claim.none", &["--again"])).await;
    let (third, is_new) = id(&out);
    assert!(code == 0 && is_new && third != second);
    let (code, out, _) = run_as_first_insurer(&request_site, &file("claim.none", &["--again"])).await;
    assert_eq!((code, id(&out)), (0, (third.clone(), false)));
    assert!(states(&request_site.show_request("insurer-a", &third).await).contains(&"stored".to_owned()));
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_watch_waits_for_what_only_the_exchange_knows() {
    let (request_site, social, commercial) = start_ready_site("watch").await;
    fs::write(request_site.file("stop"), "").unwrap();
    let id = request_site
        .ask("insurer-a", "claim.day", &["day=2026-01-05"], &[])
        .await;
    request_site.wait_state("insurer-a", &id, "taken").await;
    let watching = run_as_first_insurer(&request_site, &["request", "watch"]);
    let opening = async {
        let file = request_site.file("seen");
        fs::write(&file, "").unwrap();
        // It is still there after the poll: what waits keeps it waiting.
        request_site.wait_state("insurer-a", &id, "taken").await;
        fs::remove_file(request_site.file("stop")).unwrap();
    };
    let ((code, out, err), ()) = tokio::join!(watching, opening);
    assert!(code == 0 && err.contains("1 requests wait"), "{out}{err}");
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_file_with_invalid_placeholders_files_nothing() {
    let (request_site, social, commercial) = start_ready_site("strict").await;
    let text =
        "key,kind,purpose,basis,day\nk1,claim.day,01,01,\"2026-01-05\nk2,claim.day,01,01,2026-01-06\"\n";
    fs::write(request_site.file("asked.csv"), text).unwrap();
    let (code, out, err) = run_as_first_insurer(
        &request_site,
        &["request", "file", "--from", "asked.csv", "--actor", "clerk"],
    )
    .await;
    assert!(
        code == 2 && err.contains("asked.csv:2:20: ") && err.contains("nothing was filed"),
        "{out}{err}"
    );
    let stored = request_site.stream(exchange::port::Stream::Requests).await;
    assert!(stored.is_empty(), "{} requests", stored.len());
    social.stop().await;
    commercial.stop().await;
}
