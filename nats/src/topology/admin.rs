//! The administrator's view of the exchange.

use std::time::Duration;

use async_nats::Message;
use bytes::Bytes;
use exchange::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::connect::JetStream;
use crate::refusal::Refusal;

/// A server has read its configuration again within this time.
const RELOADED_WITHIN: Duration = Duration::from_secs(5);

/// The servers of a cluster have elected leaders within this time.
const ELECTED_WITHIN: Duration = Duration::from_secs(20);

/// Delay between two requests while no server answers.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A connection with the administrator's credential.
#[derive(Debug, Clone)]
pub struct Admin {
    connection: JetStream,
}

/// The current state of the exchange.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Its streams.
    pub streams: Vec<LiveStream>,
}

/// The current state of a stream.
#[derive(Debug, Clone, Default)]
pub struct LiveStream {
    /// The server's configuration.
    pub config: Map<String, Value>,
    /// The server's state: messages, bytes, sequences.
    pub state: Map<String, Value>,
    /// The servers that keep it, as the server describes them.
    pub cluster: Option<Value>,
    /// Its consumers, each as the server describes it.
    pub consumers: Vec<Map<String, Value>>,
}

impl Admin {
    /// Uses this connection.
    #[must_use]
    pub fn new(connection: JetStream) -> Self {
        Self { connection }
    }

    /// Asks the JetStream API; its prefix is put before the subject.
    ///
    /// # Errors
    /// Those of the exchange's operations; an error answer by its class. While servers of a cluster are away, as after its start, it asks
    /// again for a while.
    pub async fn api(&self, subject: &str, body: &Value) -> Result<Map<String, Value>> {
        let begun = Instant::now();
        loop {
            match self.api_once(subject, body).await {
                Err(error) if error.kind == ErrorKind::NoLeader && begun.elapsed() < ELECTED_WITHIN => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }

    async fn api_once(&self, subject: &str, body: &Value) -> Result<Map<String, Value>> {
        let subject = self.connection.wire.api(subject);
        let payload = if body.is_null() {
            Bytes::new()
        } else {
            body.to_string().into()
        };
        let answer = self.ask(&subject, payload).await?;
        let unreadable = |what: &str| {
            Error::new(
                ErrorKind::Protocol,
                format!("the answer to {subject} is unreadable: {what}"),
            )
        };
        let Value::Object(mut answer) =
            serde_json::from_slice(&answer.payload).map_err(|e| unreadable(&e.to_string()))?
        else {
            return Err(unreadable("no object"));
        };
        match answer.remove("error") {
            None => Ok(answer),
            Some(error) => {
                let refusal: Refusal =
                    serde_json::from_value(error).map_err(|e| unreadable(&e.to_string()))?;
                Err(refusal.error(&subject))
            }
        }
    }

    /// Asks, and again for a while where nothing listens: while the server reads changed accounts again, it answers nothing.
    async fn ask(&self, subject: &str, payload: Bytes) -> Result<Message> {
        let begun = Instant::now();
        loop {
            match self.connection.wire.ask(subject, None, payload.clone()).await {
                Err(error)
                    if matches!(error.kind, ErrorKind::Topology | ErrorKind::NoLeader)
                        && begun.elapsed() < RELOADED_WITHIN =>
                {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                done => return done,
            }
        }
    }

    /// Reads all streams and consumers.
    ///
    /// # Errors
    /// As [`Admin::api`].
    pub async fn live(&self) -> Result<Live> {
        let mut live = Live::default();
        for mut stream in self.pages("STREAM.LIST", "streams").await? {
            let config = object(stream.remove("config"));
            let state = object(stream.remove("state"));
            let cluster = stream.remove("cluster");
            let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
            let consumers = self.consumers(name).await?;
            live.streams.push(LiveStream {
                config,
                state,
                cluster,
                consumers,
            });
        }
        Ok(live)
    }

    /// Returns whether the connected server is one of a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        self.connection.wire.client.server_info().cluster.is_some()
    }

    /// Reads the consumers of a stream.
    pub(super) async fn consumers(&self, stream: &str) -> Result<Vec<Map<String, Value>>> {
        self.pages(&format!("CONSUMER.LIST.{stream}"), "consumers").await
    }

    async fn pages(&self, subject: &str, key: &str) -> Result<Vec<Map<String, Value>>> {
        let mut all = Vec::new();
        loop {
            let mut answer = self.api(subject, &json!({"offset": all.len()})).await?;
            refuse_missing(subject, &answer)?;
            let total = answer.get("total").and_then(Value::as_u64).unwrap_or(0);
            let page = match answer.remove(key) {
                Some(Value::Array(page)) => page,
                _ => Vec::new(),
            };
            let more = !page.is_empty();
            all.extend(page.into_iter().map(|item| object(Some(item))));
            if !more || all.len() as u64 >= total {
                return Ok(all);
            }
        }
    }
}

/// A cluster leaves out of a list what has no leader now. A plan would make it a second time.
fn refuse_missing(subject: &str, answer: &Map<String, Value>) -> Result<()> {
    let missing = answer.get("missing").and_then(Value::as_array);
    let missing = missing.map_or(&[][..], Vec::as_slice);
    // Consumers are described in full by newer servers, by name by older ones.
    let name = |item: &Value| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
    let names: Vec<String> = missing.iter().map(name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let text = format!("{subject}: {} without a leader now", names.join(", "));
    Err(Error::new(ErrorKind::NoLeader, text))
}

pub(super) fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
