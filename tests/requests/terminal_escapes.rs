//! An insurer signs requests that no command would sign: texts with terminal escapes, and JSON with two meanings.

use std::fs;

use bytes::Bytes;
use exchange::port::Stream;
use exchange::{Exchange, Filed, RequestExchange};
use jiff::Timestamp;
use schemas::cursor::Scalar;
use schemas::envelope::{Envelope, Payload as _};
use schemas::name::RecipientName;
use schemas::request::{Request, RequestId};
use schemas::sign::SigningKey;
use serde_bytes::ByteBuf;
use serde_json::Value;

use super::request_site::{RequestSite, payload, read};

/// Clears the screen, forges a line, and reverses the rest.
const HOSTILE: &str = "clerk\u{1b}[2J\u{9b}1m\r\n20260131-forged00 granted\u{202e}\u{2066}\u{200b}\u{e0041}";

/// Asserts that a text contains no character that acts on a terminal.
fn assert_safe(what: &str, text: &str) {
    let raw = text
        .chars()
        .find(|c| c.is_control() && *c != '\n' || HOSTILE.contains(*c) && !c.is_ascii());
    assert_eq!(raw, None, "{what}: {text:?}");
}

/// Signs and files raw bytes with the insurer's own keys.
async fn file(request_site: &RequestSite, id: &RequestId, text: String) {
    let key = SigningKey::from_seed(&read(&request_site.file("keys/insurer-a/sign.seed"))).unwrap();
    let signed = [Request::KIND.as_bytes(), &[0], text.as_bytes()].concat();
    let envelope = Envelope {
        kind: Request::KIND.to_owned(),
        payload: ByteBuf::from(text.into_bytes()),
        signature: ByteBuf::from(key.sign(&signed).unwrap()),
        body: ByteBuf::new(),
    };
    let exchange = request_site.exchange("insurer-a").await;
    let recipient: RecipientName = "insurer-a".parse().unwrap();
    let bytes = Bytes::from(envelope.encode().unwrap());
    let filed = exchange.file_request(&recipient, id, bytes).await.unwrap();
    assert!(matches!(filed, Filed::Done { .. }));
    exchange.close().await;
}

fn request(request_site: &RequestSite, token: &str) -> Request {
    let key = SigningKey::from_seed(&read(&request_site.file("keys/insurer-a/sign.seed"))).unwrap();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    Request {
        id: RequestId::new(today, token).unwrap(),
        recipient: "insurer-a".parse().unwrap(),
        origin: None,
        kind: "claim.signed".to_owned(),
        arguments: [("id".to_owned(), Scalar::Int(7))].into(),
        purpose: "01".to_owned(),
        basis: "01".to_owned(),
        deadline: None,
        idempotency: None,
        filed_by: "clerk".to_owned(),
        filed_at: Timestamp::now(),
        key: key.public().clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_of_another_party_cannot_act_on_a_terminal() {
    let request_site = RequestSite::start("hostile", 100, "mode = \"open\"").await;
    let mut hostile = request(&request_site, "hostile00");
    hostile.filed_by = HOSTILE.to_owned();
    file(
        &request_site,
        &hostile.id,
        serde_json::to_string(&hostile).unwrap(),
    )
    .await;
    let twice = request(&request_site, "twice0000");
    let text = serde_json::to_string(&twice)
        .unwrap()
        .replacen("\"id\":7", "\"id\":7,\"id\":8", 1);
    assert_eq!(text.matches("\"id\":8").count(), 1, "{text}");
    file(&request_site, &twice.id, text).await;

    // The officers' list: the request waits for them until an agent has judged it.
    for more in [&[][..], &["--personal"], &["--json"]] {
        let list = [&["approvals", "list", "--config", "bureau.toml"], more].concat();
        let shown = request_site.run_command(&list).await;
        assert!(shown.status.success(), "{}", shown.stderr);
        assert_safe("approvals list", &shown.stdout);
        if more.contains(&"--json") {
            let listed: Value = serde_json::from_str(&shown.stdout).unwrap();
            assert_eq!(listed["items"][0]["filed_by"], HOSTILE, "{listed}");
        } else {
            assert!(shown.stdout.contains("\\u{202e}"), "{}", shown.stdout);
            let forged = shown
                .stdout
                .lines()
                .any(|line| line.starts_with("20260131-forged00"));
            assert!(!forged, "{}", shown.stdout);
        }
        // The approval does not offer what an agent would refuse.
        assert!(!shown.stdout.contains(&twice.id.to_string()), "{}", shown.stdout);
    }
    // The auditor's replay: safe and unchanged JSON.
    request_site.write_auditor();
    let replay = [
        "audit",
        "replay",
        "--stream",
        "requests",
        "--config",
        "auditor.toml",
    ];
    let shown = request_site.run_command(&replay).await;
    assert!(shown.status.success(), "{}", shown.stderr);
    assert_safe("audit replay", &shown.stdout);
    let lines: Vec<Value> = shown
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{}", shown.stdout);
    assert_eq!(lines[0]["payload"]["filed_by"], HOSTILE);
    assert!(lines[1]["unreadable"].is_string(), "{}", lines[1]);

    // The bureau refuses both, and names the field.
    let social = request_site.bureau().await;
    request_site.wait_stream(Stream::Replies, 2).await;
    let id = hostile.id.to_string();
    let shown = request_site
        .run_command(&["request", "show", &id, "--config", "insurer-a.toml"])
        .await;
    assert_safe("request show", &(shown.stdout.clone() + &shown.stderr));
    let why = "refused (malformed): filed_by contains an invisible character, U+001B";
    assert!(shown.stdout.contains(why), "{}{}", shown.stdout, shown.stderr);
    let replies = request_site.stream(Stream::Replies).await;
    let output: Vec<String> = replies
        .iter()
        .map(|stored| serde_json::to_string(&payload::<schemas::reply::Reply>(stored).outcome).unwrap())
        .collect();
    assert_eq!(replies.len(), 2, "{output:?}");
    assert!(
        output
            .iter()
            .any(|one| one.contains("malformed") && one.contains("filed_by")),
        "{output:?}"
    );
    assert!(
        output
            .iter()
            .any(|one| one.contains("malformed") && one.contains("a key twice")),
        "{output:?}"
    );
    assert_safe("the bureau's log", &social.process.stderr());
    social.stop().await;

    // The product's own commands file neither.
    let filing = [
        "request",
        "file",
        "--kind",
        "claim.signed",
        "--arg",
        "id=7",
        "--purpose",
        "01",
        "--basis",
        "01",
        "--config",
        "insurer-a.toml",
        "--actor",
    ];
    let refused = request_site
        .run_command(&[&filing[..], &[HOSTILE]].concat())
        .await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert_safe("the refusal", &refused.stderr);
    let lines = [
        "{\"key\": \"a\", \"kind\": \"claim.signed\\u202e\", \"purpose\": \"01\", \"basis\": \"01\"}",
        "{\"key\": \"b\", \"kind\": \"claim.signed\", \"arguments\": {\"id\": 7, \"id\": 8}, \"purpose\": \"01\", \"basis\": \"01\"}",
    ];
    fs::write(request_site.file("asked.jsonl"), lines.join("\n")).unwrap();
    let from = [
        "request",
        "file",
        "--from",
        "asked.jsonl",
        "--actor",
        "clerk",
        "--config",
        "insurer-a.toml",
    ];
    let rejected = request_site.run_command(&from).await;
    assert_eq!(rejected.status.code(), Some(9), "{}", rejected.stderr);
    let output = &rejected.stderr;
    assert!(
        output.contains("asked.jsonl:1: kind contains") && output.contains("asked.jsonl:2: column"),
        "{output}"
    );
    assert_eq!(request_site.stream(Stream::Requests).await.len(), 2);
}
