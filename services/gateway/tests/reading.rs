//! Readers without an agent: chunks, rows, long polls, the Python reader.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use exchange::port::Stream;
use gateway::{GatewayConfig, Limits, Parts, PartyAccess, Role, Serving, TokenRegistry, serve};
use jiff::Timestamp;
use schemas::name::PartyName;
use serde_json::Value;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use web::interface::message::decode_all;

use crate::fixture::Fixture;
use crate::site::{Reply, exchange_bytes};

/// A gateway over the exchange of a fixture, with a file of tokens and a profile.
struct Reader {
    serving: Serving,
    stop: CancellationToken,
    token: String,
    folder: tempfile::TempDir,
}

impl Reader {
    async fn start(fixture: &Fixture) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let party = PartyName::new("insurer-a").unwrap();
        let new = gateway::token::file::NewToken {
            party: party.clone(),
            role: Role::Recipient,
            expires_at: Timestamp::MAX,
            note: String::new(),
            console: None,
        };
        let (_, token) = gateway::token::file::add(&path, new, Timestamp::now()).unwrap();
        let roles = BTreeMap::from([(party.clone(), Role::Recipient)]);
        let parts = Parts {
            config: GatewayConfig {
                listen: (Ipv4Addr::LOCALHOST, 0).into(),
                tls: None,
                limits: Limits::default(),
            },
            parties: vec![PartyAccess {
                name: party,
                role: Role::Recipient,
                exchange: fixture.exchange.clone(),
            }],
            identities: Vec::new(),
            tokens: Arc::new(TokenRegistry::read(&path).unwrap().for_roles(roles)),
            mounted: None,
        };
        let stop = CancellationToken::new();
        let serving = serve(parts, stop.clone()).await.unwrap();
        let endpoint = format!("http://{}", serving.addr);
        let profile = serde_json::json!({ "endpoint": endpoint, "token": token });
        std::fs::write(folder.path().join("reader.json"), profile.to_string()).unwrap();
        Self {
            serving,
            stop,
            token,
            folder,
        }
    }

    async fn get(&self, path: &str, accept: &str) -> Reply {
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: gateway\r\nAuthorization: Bearer {}\r\nAccept: {accept}\r\n\r\n",
            self.token
        );
        let stream = tokio::net::TcpStream::connect(self.serving.addr).await.unwrap();
        exchange_bytes(stream, request.as_bytes()).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self, out: &str, max: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../client/python/slacktide_read.py");
        let mut command = Command::new("python3");
        command
            .arg(script)
            .args(["--feed", "claims", "--max", max, "--profile"]);
        command
            .arg(self.path("reader.json"))
            .arg("--out")
            .arg(self.path(out));
        command.kill_on_drop(true);
        command
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reader_killed_in_the_middle_resumes() {
    let mut fixture = Fixture::new();
    for chunk in 0..200 {
        let values: Vec<i64> = (chunk * 500..(chunk + 1) * 500).collect();
        fixture.publish_next(&values).await;
    }
    let reader = Reader::start(&fixture).await;
    let mut killed = reader.python("rows", "1").spawn().unwrap();
    let cursor = reader.path("rows.cursor");
    while !cursor.exists() {
        assert!(
            killed.try_wait().unwrap().is_none(),
            "it ended before its first rows"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    killed.kill().await.unwrap();
    for (out, max) in [("rows", "7"), ("whole", "1000")] {
        let done = reader.python(out, max).output().await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    let read = |name: &str| std::fs::read_to_string(reader.path(name)).unwrap();
    let rows = read("rows");
    assert!(
        rows == read("whole"),
        "the resumed file differs from the whole one"
    );
    let id = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["row"]["id"]
            .as_i64()
            .unwrap()
    };
    assert!(rows.lines().map(id).eq(0..100_000));
    reader.end().await;
}

#[tokio::test]
async fn chunks_are_returned_as_published() {
    let mut fixture = Fixture::new();
    for value in 0..10 {
        fixture.publish_next(&[value]).await;
    }
    fixture.publish(fixture.manifest(&["id"]), &[10], true).await;
    let reader = Reader::start(&fixture).await;
    let (mut after, mut read) = (String::new(), Vec::new());
    loop {
        let reply = reader
            .get(&format!("/v1/feeds/claims/chunks?max=4{after}"), "*/*")
            .await;
        if reply.status == 204 {
            assert_eq!(
                reply.header("slacktide-next-cursor"),
                after.replace("&after=", "")
            );
            break;
        }
        assert_eq!(reply.header("content-type"), "application/vnd.slacktide.messages");
        let (messages, end) = decode_all(&reply.body).unwrap();
        assert_eq!(messages.len() as u64, end.messages);
        read.extend(messages);
        after = format!("&after={}", end.next.unwrap());
    }
    let stored = fixture.exchange.stored_messages(Stream::Data);
    assert_eq!(read.len(), 11);
    for (message, stored) in read.into_iter().zip(stored) {
        let digest = schemas::envelope::Envelope::decode(&stored.bytes)
            .unwrap()
            .digest();
        assert_eq!(message.digest, Some(digest));
        assert_eq!(message.into_stored(), stored);
    }
    // The rows of the encrypted one cannot be returned.
    let rows = reader.get("/v1/feeds/claims/rows", "text/csv").await;
    let text = String::from_utf8(rows.body).unwrap();
    let end = text.lines().last().unwrap();
    assert!(
        end.starts_with("#end,10,sha-256:") && end.ends_with(",false,encrypted,"),
        "{end}"
    );
    let next = end.split(',').nth(3).unwrap();
    let refused = reader
        .get(&format!("/v1/feeds/claims/rows?after={next}"), "text/csv")
        .await;
    assert_eq!(
        (refused.status, refused.problem()),
        (406, "not-acceptable".to_owned())
    );
    let feed = reader.get("/v1/feeds/claims", "*/*").await.json();
    assert_eq!(
        (&feed["is_encrypted"], &feed["newest"]["number"]),
        (&true.into(), &11.into())
    );
    reader.end().await;
}

/// Compression reads a body's stream on after its end.
#[tokio::test(flavor = "multi_thread")]
async fn reading_compressed_ends_with_the_body() {
    let mut fixture = Fixture::new();
    for chunk in 0..20 {
        let values: Vec<i64> = (chunk * 500..(chunk + 1) * 500).collect();
        fixture.publish_next(&values).await;
    }
    let reader = Reader::start(&fixture).await;
    for max in [1, 3, 20] {
        for format in ["application/x-ndjson", "text/csv"] {
            let path = format!("/v1/feeds/claims/rows?max={max}");
            let accept = format!("{format}\r\nAccept-Encoding: gzip");
            let rows = reader.get(&path, &accept).await;
            assert_eq!((rows.status, rows.header("content-encoding")), (200, "gzip"));
            // The last four bytes are the length of the content; without them the body was cut off.
            let plain = reader.get(&path, format).await;
            let length = u32::try_from(plain.body.len()).unwrap().to_le_bytes();
            assert!(rows.body.ends_with(&length), "{max} {format}");
        }
    }
    reader.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_poll_returns_the_next_chunk_or_ends_at_the_stop() {
    let mut fixture = Fixture::new();
    fixture.publish_next(&[1]).await;
    let reader = Reader::start(&fixture).await;
    let feed = reader.get("/v1/feeds/claims", "*/*").await.json();
    let after = feed["newest"]["cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/feeds/claims/rows?wait=30&after={after}");
    let waiting = reader.get(&path, "*/*");
    let publishing = async {
        tokio::task::yield_now().await;
        fixture.publish_next(&[2]).await;
    };
    let (reply, ()) = tokio::join!(waiting, publishing);
    assert_eq!(reply.status, 200);
    let text = String::from_utf8(reply.body).unwrap();
    assert!(
        text.starts_with("{\"epoch\":1,\"number\":2,\"deleted\":false,\"row\":{\"id\":2}}\n"),
        "{text}"
    );
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let path = format!(
        "/v1/feeds/claims/rows?wait=30&after={}",
        end["end"]["next"].as_str().unwrap()
    );
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        reader.stop.cancel();
    };
    let (reply, ()) = tokio::join!(reader.get(&path, "*/*"), stopping);
    assert_eq!(reply.status, 204);
    reader.end().await;
}
