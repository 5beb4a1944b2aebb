//! A pull whose status arrives before its messages, as from the leader of a consumer with several copies. The server is a script,
//! because a real one sends them in this order only in a cluster: the module `cluster` has that test.

use std::time::Duration;

use exchange::{Delivery, ErrorKind, RequestExchange, Result};
use nats::{JetStream, Options};
use nkeys::KeyPair;
use schemas::name::RecipientName;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::exchange_server::{TIMEOUT, soon};

/// Messages of each pull.
const BATCH: usize = 3;

/// The answer to a pull: a status, then messages.
#[derive(Clone, Copy)]
struct Answer {
    status: &'static str,
    /// Requested messages that the status counts as unsent; `None` if it has no number.
    unsent: Option<usize>,
    messages: usize,
}

impl Answer {
    /// Returns the bytes for the subscription `sid`.
    fn bytes(self, sid: &str) -> String {
        let count = self
            .unsent
            .map(|unsent| format!("Nats-Pending-Messages: {unsent}\r\nNats-Pending-Bytes: 1000\r\n"));
        let headers = format!("NATS/1.0 {}\r\n{}\r\n", self.status, count.unwrap_or_default());
        let length = headers.len();
        let status = format!("HMSG _INBOX_insurer-a.x {sid} {length} {length}\r\n{headers}\r\n");
        let message = |number| {
            format!(
                "MSG reply.insurer-a.r{number} {sid} \
                 $JS.ACK.REPLIES_insurer-a.insurer-a.1.{number}.{number}.1700000000000000001.0 1\r\na\r\n"
            )
        };
        let messages: String = (1..=self.messages).map(message).collect();
        status + &messages
    }
}

/// Serves one connection. Every pull gets the same answer.
async fn serve(client: TcpStream, answer: Answer) -> std::io::Result<()> {
    let (from, mut to) = client.into_split();
    let info = r#"INFO {"server_name":"n1","version":"2.15.1","headers":true,"max_payload":4194304,"proto":1,"cluster":"c"}"#;
    to.write_all(format!("{info}\r\n").as_bytes()).await?;
    let mut lines = BufReader::new(from).lines();
    let mut sid = String::new();
    while let Some(line) = lines.next_line().await? {
        let mut words = line.split(' ');
        match words.next() {
            Some("PING") => to.write_all(b"PONG\r\n").await?,
            Some("SUB") => sid = words.next_back().unwrap_or_default().to_owned(),
            Some("PUB") => to.write_all(answer.bytes(&sid).as_bytes()).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Pulls once from a server that answers so.
async fn pull(answer: Answer, timeout: Duration) -> Result<Vec<Delivery>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        serve(client, answer).await
    });
    let options = Options {
        timeout,
        ..Options::command(url, "insurer-a", KeyPair::new_user().seed().unwrap())
    };
    let insurer = soon("the connection", JetStream::connect(options)).await.unwrap();
    let recipient = RecipientName::new("insurer-a").unwrap();
    let pulled = soon("the end of the pull", insurer.fetch_replies(&recipient, BATCH)).await;
    serving.abort();
    pulled
}

#[tokio::test]
async fn pull_returns_messages_that_follow_its_status() {
    for (status, unsent, messages) in [
        ("409 Batch Completed", Some(0), BATCH),
        ("409 Message Size Exceeds MaxBytes", Some(1), BATCH - 1),
        ("408 Request Timeout", Some(BATCH), 0),
        ("409 Leadership Change", None, 0),
        ("404 No Messages", None, 0),
    ] {
        let answer = Answer {
            status,
            unsent,
            messages,
        };
        let pulled = pull(answer, TIMEOUT).await.unwrap();
        let sequences: Vec<u64> = pulled.iter().map(|delivery| delivery.sequence).collect();
        let sent: Vec<u64> = (1..).take(messages).collect();
        assert_eq!(sequences, sent, "{status}");
    }
}

/// A leader without a majority sends the status and never the messages. That is not an empty stream.
#[tokio::test]
async fn pull_without_the_messages_of_its_status_is_unknown() {
    let answer = Answer {
        status: "409 Batch Completed",
        unsent: Some(0),
        messages: 0,
    };
    let error = pull(answer, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{error}");
}
