//! The whole flow over an exchange in memory and a database in a file, with a bureau that answers by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::memory::Memory;
use exchange::port::Stream;
use exchange::{Exchange, Filed};
use jiff::Timestamp;
use rusqlite::Connection;
use schemas::body::BodyForm;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::load::Load;
use schemas::manifest::{Algorithms, Totals};
use schemas::name::RecipientName;
use schemas::part::{self, Part};
use schemas::reply::{Outcome, Reply};
use schemas::request::{Request, RequestId};
use schemas::rows::pack;
use schemas::seal::SealRing;
use schemas::sign::SigningKey;
use schemas::value::Value;
use store::{Requests, SqliteStore};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Requester, RequesterParts};
use crate::status::Board;

const SOON: Duration = Duration::from_secs(20);

/// An insurer's office and a bureau.
struct Office {
    exchange: Arc<Memory>,
    folder: TempDir,
    bureau: SigningKey,
    parts: RequesterParts,
}

fn recipient() -> RecipientName {
    "insurer-a".parse().unwrap()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(SOON, looking).await.is_ok(),
        "{what} never came"
    );
}

impl Office {
    async fn open() -> Self {
        Self::over(Memory::new(&[recipient()]).with_ack_wait(Duration::from_millis(200))).await
    }

    async fn over(exchange: Memory) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Arc::new(exchange);
        let bureau = SigningKey::generate();
        let store: Arc<dyn Requests> = Arc::new(SqliteStore::new(folder.path().join("store.db")));
        store.prepare().await.unwrap();
        let parts = RequesterParts {
            exchange: Arc::clone(&exchange) as Arc<dyn Exchange>,
            store,
            recipient: recipient(),
            trusted: vec![bureau.public().clone()],
            seals: SealRing::default(),
            key: Arc::new(SigningKey::generate()),
            interval: Duration::from_millis(10),
            board: Board::default(),
        };
        Self {
            exchange,
            folder,
            bureau,
            parts,
        }
    }

    fn database(&self) -> Connection {
        let connection = Connection::open(self.folder.path().join("store.db")).unwrap();
        connection.busy_timeout(SOON).unwrap();
        connection
    }

    fn number(&self, sql: &str) -> i64 {
        self.database().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// A program writes into the outbox.
    fn write(&self, key: &str, person: &str) {
        let arguments = format!("{{\"psn_no\": \"{person}\"}}");
        self.database()
            .execute(
                "INSERT OR IGNORE INTO slacktide_outbox (idempotency, kind, arguments, purpose, basis) VALUES (?1, 'setl.by_person', ?2, '01', '01')",
                [key, &arguments],
            )
            .unwrap();
    }

    fn start(&self) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let requester = Requester::new(self.parts.clone());
        (stop.clone(), tokio::spawn(requester.run(stop)))
    }

    fn requests(&self) -> Vec<(Request, Digest)> {
        let read = |stored: &exchange::Stored| {
            let envelope = Envelope::decode(&stored.bytes).unwrap();
            (envelope.read().unwrap(), envelope.digest())
        };
        self.exchange.kept(Stream::Requests).iter().map(read).collect()
    }

    /// The bureau answers a request with so many rows in each of its parts.
    async fn answer(&self, request: &Request, digest: Digest, rows: &[i64]) {
        self.answer_signed(request, digest, rows, &self.bureau).await;
    }

    async fn answer_signed(&self, request: &Request, digest: Digest, rows: &[i64], key: &SigningKey) {
        let mut named = Vec::new();
        for (number, count) in (1_u32..).zip(rows) {
            let sealed = part(request, digest, number, *count, key);
            named.push(sealed.digest);
            self.put(self.exchange.publish_part(
                &request.recipient,
                &request.id,
                1,
                number,
                Bytes::from(sealed.bytes),
            ))
            .await;
        }
        self.reply(request, digest, named, rows.iter().sum(), key).await;
    }

    async fn reply(
        &self,
        request: &Request,
        digest: Digest,
        named: Vec<Digest>,
        rows: i64,
        key: &SigningKey,
    ) {
        let outcome = if named.is_empty() {
            Outcome::Empty
        } else {
            Outcome::Answered {
                rows: u64::try_from(rows).unwrap(),
                parts: named,
            }
        };
        let reply = Reply {
            id: request.id.clone(),
            recipient: request.recipient.clone(),
            request: digest,
            attempt: (!outcome.parts().is_empty()).then_some(1),
            outcome,
            definition: None,
            load: None,
            read_from: None,
            read_to: None,
            withheld: 0,
            instance: "one".to_owned(),
            at: Timestamp::now(),
            key: key.public().clone(),
        };
        self.put(
            self.exchange
                .reply(&request.recipient, &request.id, sealed(&reply, key)),
        )
        .await;
    }

    /// A lost acknowledgement is no matter here: it is stored once or was.
    async fn put(&self, filed: impl Future<Output = exchange::Result<Filed>>) {
        let _ = filed.await;
    }

    fn confirmed(&self) -> usize {
        self.exchange.kept(Stream::Confirms).len()
    }
}

fn sealed<P: Payload>(payload: &P, key: &SigningKey) -> Bytes {
    Bytes::from(
        Envelope::seal(payload, Vec::new(), key)
            .unwrap()
            .encode()
            .unwrap(),
    )
}

fn part(request: &Request, digest: Digest, number: u32, rows: i64, key: &SigningKey) -> part::SealedPart {
    let mut plain = Vec::new();
    for row in 0..rows {
        pack(&[Value::Int(i64::from(number) * 1_000 + row)], &mut plain).unwrap();
    }
    let part = Part {
        id: request.id.clone(),
        recipient: request.recipient.clone(),
        request: digest,
        attempt: 1,
        number,
        schema: RowSchema {
            name: request.kind.clone(),
            version: 1,
            columns: vec![Column {
                name: "id".to_owned(),
                kind: ColumnType::Int8,
                nullable: false,
            }],
            key: Vec::new(),
            tombstone: None,
        },
        definition: Digest::of(&[b"kind"]),
        totals: Totals {
            rows: u64::try_from(rows).unwrap(),
            ..Totals::default()
        },
        load: Load::default(),
        rejects: Vec::new(),
        body: BodyForm {
            digest: Digest::of(&[]),
            bytes: 0,
            plain_bytes: 0,
            encoding: String::new(),
            compression: String::new(),
            sealing: None,
        },
        read_from: Timestamp::UNIX_EPOCH,
        read_to: Timestamp::UNIX_EPOCH,
        algorithms: Algorithms::default(),
        instance: "one".to_owned(),
        key: key.public().clone(),
    };
    part::seal(part, &plain, key, None).unwrap()
}

#[tokio::test]
async fn what_is_asked_is_filed_once_answered_stored_and_confirmed() {
    let office = Office::open().await;
    let (stop, running) = office.start();
    office.write("claim 7", "p1");
    office.write("claim 7", "p1");
    office.write("claim 8", "p2");
    until("both requests", async || office.requests().len() == 2).await;
    for (request, digest) in office.requests() {
        assert!(request.keeps_its_key());
        let rows: &[i64] = if request.idempotency.as_deref() == Some("claim 7") {
            &[3, 2]
        } else {
            &[]
        };
        office.answer(&request, digest, rows).await;
    }
    until("both confirmations", async || office.confirmed() == 2).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 5);
    assert_eq!(
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'taken'"),
        2
    );
    // Confirmed and settled: nothing comes again.
    until("nothing to confirm", async || {
        office.parts.store.due(&recipient(), 10).await.unwrap().is_empty()
    })
    .await;
    stop.cancel();
    running.await.unwrap();
    let status = office.parts.board.status().requests.unwrap();
    assert_eq!(
        (status.taken, status.filed, status.replies, status.rows),
        (2, 2, 2, 5)
    );
    assert_eq!((status.confirmed, status.last_error), (2, None));
}

#[tokio::test]
async fn a_row_that_makes_no_request_is_marked_and_the_others_go_on() {
    let office = Office::open().await;
    office.database().execute("INSERT INTO slacktide_outbox (idempotency, kind, arguments, purpose, basis) VALUES ('k', 'setl.by_person', '[p1]', '01', '01')", []).unwrap();
    office.write("claim 7", "p1");
    let (stop, running) = office.start();
    until("the good one", async || office.requests().len() == 1).await;
    until("both looked at", async || {
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state IS NULL") == 0
    })
    .await;
    assert_eq!(
        office.number("SELECT count(*) FROM slacktide_outbox WHERE state = 'refused' AND reason <> ''"),
        1
    );
    assert_eq!(office.requests().len(), 1);
    stop.cancel();
    running.await.unwrap();
}

/// Trap: an acknowledgement that is lost. Each second one is, on both sides.
#[tokio::test]
async fn lost_acknowledgements_double_nothing() {
    let office = Office::open().await;
    office.exchange.lose_every(2);
    for number in 0..20 {
        office.write(&format!("claim {number}"), "p1");
    }
    let (stop, running) = office.start();
    until("all requests", async || office.requests().len() == 20).await;
    for (request, digest) in office.requests() {
        office.answer(&request, digest, &[2, 1]).await;
    }
    until("all confirmations", async || office.confirmed() == 20).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 60);
    stop.cancel();
    running.await.unwrap();
}

/// Whatever was done when it was killed, the next life goes on; beside another one, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_and_doubled_it_comes_to_the_same() {
    for steps in 1..=10 {
        let office = Office::open().await;
        for number in 0..3 {
            office.write(&format!("claim {number}"), "p1");
        }
        let done = async || office.exchange.kept(Stream::Requests).len() + office.confirmed();
        let (_, victim) = office.start();
        // Answers come as soon as requests do.
        let answering = async {
            let mut answered = 0;
            until("all answers", async || true).await;
            while answered < 3 {
                for (request, digest) in office.requests().into_iter().skip(answered) {
                    office.answer(&request, digest, &[2]).await;
                    answered += 1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let killing = async {
            until("its step", async || done().await >= steps.min(6)).await;
            victim.abort();
            let (one, first) = office.start();
            let (two, second) = office.start();
            until("all confirmations", async || office.confirmed() == 3).await;
            one.cancel();
            two.cancel();
            first.await.unwrap();
            second.await.unwrap();
        };
        tokio::join!(answering, killing);
        assert_eq!(office.requests().len(), 3, "killed after {steps}");
        assert_eq!(
            office.number("SELECT count(*) FROM answer_setl__by_person"),
            6,
            "killed after {steps}"
        );
    }
}

#[tokio::test]
async fn a_request_that_was_filed_elsewhere_is_taken_from_the_exchange() {
    let office = Office::open().await;
    let key = &office.parts.key;
    let request = Request {
        id: "20260131-abcdefgh".parse::<RequestId>().unwrap(),
        recipient: recipient(),
        kind: "setl.by_person".to_owned(),
        arguments: BTreeMap::new(),
        purpose: "01".to_owned(),
        basis: "01".to_owned(),
        deadline: None,
        idempotency: None,
        filed_by: "clerk".to_owned(),
        filed_at: Timestamp::now(),
        key: key.public().clone(),
    };
    office
        .put(
            office
                .exchange
                .file_request(&recipient(), &request.id, sealed(&request, key)),
        )
        .await;
    let (request, digest) = office.requests().remove(0);
    office.answer(&request, digest, &[4]).await;
    let (stop, running) = office.start();
    until("its confirmation", async || office.confirmed() == 1).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 4);
    stop.cancel();
    running.await.unwrap();
}

/// What is not the bureau's, or names other parts than there are, is stored by nobody and stops nobody.
#[tokio::test]
async fn a_reply_that_does_not_hold_is_put_off_and_the_others_are_stored() {
    let office = Office::open().await;
    for name in ["forged", "lacks a part", "another part", "good"] {
        office.write(name, "p1");
    }
    let (stop, running) = office.start();
    until("all requests", async || office.requests().len() == 4).await;
    for (request, digest) in office.requests() {
        match request.idempotency.as_deref().unwrap() {
            "forged" => {
                office
                    .answer_signed(&request, digest, &[9], &SigningKey::generate())
                    .await
            }
            "lacks a part" => {
                let missing = vec![Digest::of(&[b"nowhere"])];
                office.reply(&request, digest, missing, 9, &office.bureau).await;
            }
            "another part" => {
                let sealed = part(&request, digest, 1, 9, &office.bureau);
                let other = vec![Digest::of(&[b"another"])];
                office
                    .put(office.exchange.publish_part(
                        &recipient(),
                        &request.id,
                        1,
                        1,
                        Bytes::from(sealed.bytes),
                    ))
                    .await;
                office.reply(&request, digest, other, 9, &office.bureau).await;
            }
            _ => office.answer(&request, digest, &[1]).await,
        }
    }
    until("the good one", async || office.confirmed() == 1).await;
    assert_eq!(office.number("SELECT count(*) FROM answer_setl__by_person"), 1);
    assert!(office.parts.board.status().requests.unwrap().last_error.is_none());
    stop.cancel();
    running.await.unwrap();
}
