//! The commands of an insurer's clerk: what they say, and with which code they end.

use std::fs;

use serde_json::Value;

use super::office::{Office, states};
use crate::gates::BY_FILE;

const AT_A: [&str; 2] = ["--config", "insurer-a.toml"];

/// What a command of the first insurer ended with, and what it printed.
async fn a(office: &Office, arguments: &[&str]) -> (i32, String, String) {
    let done = office.done(&[arguments, &AT_A[..]].concat()).await;
    (done.status.code().unwrap_or(-1), done.stdout, done.stderr)
}

async fn ready(name: &str) -> (Office, crate::path::site::Agent, crate::path::site::Agent) {
    let mut office = Office::start(name, 2_000, BY_FILE).await;
    office.more = "[requests.quota.insurer-a]\nrequests_an_hour = 2\n".to_owned();
    let (social, commercial) = (
        office.bureau().await,
        office.commercial("insurer-a", "insurer-a-1"),
    );
    commercial
        .shows("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    (office, social, commercial)
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_an_answer_is_told_by_its_exit_code() {
    let (office, social, commercial) = ready("commands").await;
    let keyed = |key: &'static str| ["--key", key];
    let day = ["day=2026-01-05"];
    let answered = office.ask("insurer-a", "claim.day", &day, &keyed("k1")).await;
    office.stands("insurer-a", &answered, "stored_by_insurer").await;
    let refused = office.ask("insurer-a", "claim.none", &day, &keyed("k2")).await;
    office.stands("insurer-a", &refused, "refused").await;

    for format in ["table", "csv", "json"] {
        let (code, out, err) = a(&office, &["request", "result", &refused, "--format", format]).await;
        assert_eq!(code, 10, "{format}: {out}{err}");
        assert!(err.contains("unknown_kind"), "{format}: {err}");
        if format == "json" {
            let told: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(
                (&told["outcome"], &told["code"]),
                (&"refused".into(), &"unknown_kind".into())
            );
        } else {
            assert_eq!(out, "", "{format}");
        }
    }
    let (code, out, err) = a(&office, &["request", "result", &answered, "--format", "csv"]).await;
    assert!(code == 0 && out.starts_with("day,claims,total\n"), "{out}{err}");

    // Shortened, as far as no other begins so.
    let (code, out, err) = a(&office, &["request", "show", &answered[..20]]).await;
    assert!(code == 0 && out.starts_with(&answered), "{out}{err}");
    let (code, _, err) = a(&office, &["request", "show", &answered[..9]]).await;
    assert!(
        code == 2 && err.contains("several requests begin") && err.contains(&refused),
        "{err}"
    );
    let (code, _, err) = a(&office, &["request", "show", "20200101-zz"]).await;
    assert!(code == 2 && err.contains("no request"), "{err}");

    let cancel = [
        "request", "cancel", &answered, "--reason", "late", "--actor", "clerk",
    ];
    let (code, _, err) = a(&office, &cancel).await;
    assert!(code == 11 && err.contains("answered"), "{code}: {err}");

    let (code, out, err) = a(&office, &["request", "list"]).await;
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
    let (office, social, commercial) = ready("again").await;
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
        let told: Value = serde_json::from_str(out).unwrap();
        (told["id"].as_str().unwrap().to_owned(), told["is_new"] == true)
    };
    let (code, out, _) = a(&office, &file("claim.none", &[])).await;
    let (first, is_new) = id(&out);
    assert!(code == 0 && is_new);
    office.stands("insurer-a", &first, "refused").await;
    let (code, out, err) = a(&office, &file("claim.none", &[])).await;
    assert_eq!((code, id(&out)), (10, (first.clone(), false)), "{err}");
    assert!(
        err.contains("nothing was filed") && err.contains("--again"),
        "{err}"
    );

    let (code, out, err) = a(&office, &file("claim.none", &["--again"])).await;
    let (second, is_new) = id(&out);
    assert!(code == 0 && is_new && second != first, "{out}{err}");
    office.stands("insurer-a", &second, "refused").await;
    // With the gate shut the third attempt waits: however often it is asked again, it is one request.
    social.stop().await;
    let (code, out, _) = a(&office, &file("claim.none", &["--again"])).await;
    let (third, is_new) = id(&out);
    assert!(code == 0 && is_new && third != second);
    let (code, out, _) = a(&office, &file("claim.none", &["--again"])).await;
    assert_eq!((code, id(&out)), (0, (third.clone(), false)));
    assert!(states(&office.shown("insurer-a", &third).await).contains(&"stored".to_owned()));
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_watch_waits_for_what_only_the_exchange_knows() {
    let (office, social, commercial) = ready("watch").await;
    fs::write(office.file("stop"), "").unwrap();
    let id = office
        .ask("insurer-a", "claim.day", &["day=2026-01-05"], &[])
        .await;
    office.stands("insurer-a", &id, "taken").await;
    let watching = a(&office, &["request", "watch"]);
    let opening = async {
        let file = office.file("seen");
        fs::write(&file, "").unwrap();
        // It is still there after a look: what waits keeps it waiting.
        office.stands("insurer-a", &id, "taken").await;
        fs::remove_file(office.file("stop")).unwrap();
    };
    let ((code, out, err), ()) = tokio::join!(watching, opening);
    assert!(code == 0 && err.contains("1 requests wait"), "{out}{err}");
    social.stop().await;
    commercial.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_file_with_a_fault_of_its_marks_files_nothing() {
    let (office, social, commercial) = ready("strict").await;
    let text =
        "key,kind,purpose,basis,day\nk1,claim.day,01,01,\"2026-01-05\nk2,claim.day,01,01,2026-01-06\"\n";
    fs::write(office.file("asked.csv"), text).unwrap();
    let (code, out, err) = a(
        &office,
        &["request", "file", "--from", "asked.csv", "--actor", "clerk"],
    )
    .await;
    assert!(
        code == 2 && err.contains("asked.csv:2:20: ") && err.contains("nothing was filed"),
        "{out}{err}"
    );
    let stored = office.stream(exchange::port::Stream::Requests).await;
    assert!(stored.is_empty(), "{} requests", stored.len());
    social.stop().await;
    commercial.stop().await;
}
