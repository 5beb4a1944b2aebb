//! A receiver of OTLP over HTTP, as a collector on the agents' host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A span as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) attributes: BTreeMap<String, String>,
}

/// A running receiver.
pub(super) struct Collector {
    pub(super) port: u16,
    spans: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Collector {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let spans = Arc::<Mutex<Vec<Received>>>::default();
        let all = Arc::clone(&spans);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let spans = receive(stream).await;
                all.lock().unwrap().extend(spans);
            }
        });
        Self { port, spans, task }
    }

    /// Returns everything that arrived so far.
    pub(super) fn spans(&self) -> Vec<Received> {
        self.spans.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one export and acknowledges it.
async fn receive(stream: TcpStream) -> Vec<Received> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length, mut is_protobuf) = (String::new(), 0, false);
    stream.read_line(&mut line).await.unwrap();
    assert!(line.starts_with("POST /v1/traces HTTP/1.1"), "{line}");
    loop {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => is_protobuf = value == "application/x-protobuf",
            _ => {}
        }
    }
    assert!(is_protobuf);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    let export = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let mut received = Vec::new();
    for resource in export.resource_spans {
        let of_process = texts(&resource.resource.unwrap().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            received.push(Received {
                service: of_process["service.name"].clone(),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
                attributes: texts(&span.attributes),
            });
        }
    }
    received
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("an attribute is neither a text nor a number: {other:?}"),
    };
    attributes
        .iter()
        .map(|one| (one.key.clone(), text(&one.value)))
        .collect()
}
