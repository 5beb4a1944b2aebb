//! Traces of both agents, of a gateway between them, and without either.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use exchange::FeedExchange as _;
use exchange::port::Stream;
use harness::{Process, free_port, run, slacktide, until};
use schemas::name::{FeedName, Lane, RecipientName};

use super::collector::{Collector, Received};
use crate::pipeline::site::{Agent, DEADLINE};
use crate::requests::request_site::RequestSite;

const INSURER: &str = "insurer-a";

/// A person of the core; no attribute may name one.
const PERSON: &str = "p000017";

/// How the agents reach the exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Nats,
    Https,
}

/// Both agents, and the gateway if there is one.
struct Running {
    bureau: Agent,
    insurer: Agent,
    gateway: Option<Process>,
}

impl Running {
    /// Starts them. `telemetry` is added to each of their files.
    async fn start(site: &RequestSite, transport: Transport, telemetry: &str) -> Self {
        let ports = [free_port(), free_port()];
        let gateway = match transport {
            Transport::Nats => None,
            Transport::Https => Some(start_gateway(site, telemetry).await),
        };
        let gateway_port = gateway.as_ref().map(|(_, port)| *port);
        let start = |name: &str, kind: &str, port: u16| {
            let file = site.file(&format!("{name}.toml"));
            let mut text = fs::read_to_string(&file).unwrap();
            if let Some(gateway) = gateway_port {
                text = text.replace(
                    &format!("url = \"{}\"", site.nats.url()),
                    &format!("url = \"http://127.0.0.1:{gateway}\"\ntoken = {{ file = \"{name}.token\" }}"),
                );
            }
            fs::write(&file, text + telemetry).unwrap();
            let mut command: Command = slacktide();
            command
                .current_dir(site.file("."))
                .args([kind, "run", "--config"])
                .arg(&file);
            Agent {
                process: Process::spawn(name, &mut command),
                port,
            }
        };
        site.write_social("bureau", ports[0]);
        site.write_commercial(INSURER, INSURER, ports[1]);
        Self {
            bureau: start("bureau", "social", ports[0]),
            insurer: start(INSURER, "commercial", ports[1]),
            gateway: gateway.map(|(process, _)| process),
        }
    }

    /// Stops all as a service manager would.
    async fn stop(self) {
        for mut process in [self.bureau.process, self.insurer.process]
            .into_iter()
            .chain(self.gateway)
        {
            process.sigterm();
            let status = process.wait_exit(DEADLINE).await;
            assert!(status.success(), "{}", process.stderr());
        }
    }
}

/// Starts a gateway for both agents, with a token each.
async fn start_gateway(site: &RequestSite, telemetry: &str) -> (Process, u16) {
    let port = free_port();
    let party = |name: &str, role: &str| {
        format!(
            "[[party]]\nname = \"{name}\"\nrole = \"{role}\"\nseed = {{ file = \"keys/{name}/connect.seed\" }}\n"
        )
    };
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\ntokens = \"tokens.json\"\n[exchange]\nurl = \"{}\"\n{}{}{telemetry}",
        site.nats.url(),
        party("bureau", "bureau"),
        party(INSURER, "recipient"),
    );
    fs::write(site.file("gateway.toml"), text).unwrap();
    for name in ["bureau", INSURER] {
        let mut command = slacktide();
        command.current_dir(site.file("."));
        command.args([
            "gateway",
            "token",
            "new",
            "--party",
            name,
            "--config",
            "gateway.toml",
        ]);
        let made = run("token", &mut command, DEADLINE).await;
        assert!(made.status.success(), "{}", made.stderr);
        let file = site.file(&format!("{name}.token"));
        fs::write(&file, made.stdout.trim()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut command = slacktide();
    command
        .current_dir(site.file("."))
        .args(["gateway", "run", "--config", "gateway.toml"]);
    (Process::spawn("gateway", &mut command), port)
}

/// Files a request by the outbox, and waits until its answer is stored.
async fn ask(site: &RequestSite) {
    let has_table = async |name: &str| {
        let sql = format!("SELECT count(*) FROM pg_class WHERE relname = '{name}'");
        if site.store.number(&sql).await == 1 {
            Ok(())
        } else {
            Err(format!("there is no table {name}"))
        }
    };
    until("the outbox", DEADLINE, async || has_table("outbox").await).await;
    site.store
        .execute(&format!(
            "INSERT INTO slacktide.outbox (idempotency, kind, arguments, purpose, basis) VALUES ('first', 'claim.by_person', \
             '{{\"psn_no\": \"{PERSON}\", \"from\": \"2026-01-01\", \"to\": \"2026-12-31\"}}', '01', '01')"
        ))
        .await;
    let table = "answer_claim__by_person";
    until("the answer in the store", DEADLINE, async || {
        has_table(table).await
    })
    .await;
}

/// Returns the spans of the trace that has a span of this name, once it has all the names.
async fn trace_with(collector: &Collector, names: &[&str]) -> Vec<Received> {
    until(&format!("a trace with {names:?}"), DEADLINE, async || {
        let spans = collector.spans();
        let traces = spans
            .iter()
            .filter(|span| span.name == names[0])
            .map(|span| &span.trace);
        for trace in traces {
            let of_trace: Vec<Received> = spans
                .iter()
                .filter(|span| span.trace == *trace)
                .cloned()
                .collect();
            if names
                .iter()
                .all(|name| of_trace.iter().any(|span| span.name == *name))
            {
                return Ok(of_trace);
            }
        }
        let found: Vec<String> = spans
            .iter()
            .map(|span| format!("{} {}", span.trace, span.name))
            .collect();
        Err(format!("{found:?}"))
    })
    .await
}

/// Asserts that a span's ancestors have these names, from it to the root.
fn assert_line(trace: &[Received], names: &[&str]) {
    let mut span = trace.iter().find(|span| span.name == names[0]).unwrap();
    for name in &names[1..] {
        span = trace
            .iter()
            .find(|parent| parent.id == span.parent)
            .unwrap_or_else(|| panic!("{} has no parent in {trace:#?}", span.name));
        assert_eq!(span.name, *name, "{trace:#?}");
    }
    assert_eq!(span.parent, "", "{} is not the root: {trace:#?}", span.name);
}

fn services(trace: &[Received]) -> Vec<String> {
    let mut services: Vec<String> = trace.iter().map(|span| span.service.clone()).collect();
    services.sort();
    services.dedup();
    services
}

async fn follow(name: &str, transport: Transport) {
    let site = RequestSite::start(name, 200, "mode = \"open\"").await;
    let collector = Collector::start().await;
    let telemetry = format!("[telemetry]\notlp = \"http://127.0.0.1:{}\"\n", collector.port);
    let running = Running::start(&site, transport, &telemetry).await;
    ask(&site).await;
    let names = [
        "chunk.read",
        "chunk.sign",
        "chunk.publish",
        "chunk.fetch",
        "chunk.store",
        "receipt.publish",
    ];
    let chunk = trace_with(&collector, &names).await;
    let request = trace_with(&collector, &["request.file", "request.answer", "answer.store"]).await;
    match transport {
        Transport::Nats => {
            assert_eq!(services(&chunk), ["slacktide-commercial", "slacktide-social"]);
            assert_line(
                &chunk,
                &[
                    "receipt.publish",
                    "chunk.store",
                    "chunk.fetch",
                    "chunk.publish",
                    "chunk.read",
                ],
            );
            assert_line(&request, &["answer.store", "request.answer", "request.file"]);
        }
        Transport::Https => {
            let all = ["slacktide-commercial", "slacktide-gateway", "slacktide-social"];
            assert_eq!(services(&chunk), all);
            assert_eq!(services(&request), all);
            let line = [
                "receipt.publish",
                "chunk.store",
                "chunk.fetch",
                "gateway.deliver",
                "gateway.serve",
                "chunk.publish",
                "chunk.read",
            ];
            assert_line(&chunk, &line);
            let line = [
                "answer.store",
                "gateway.deliver",
                "gateway.serve",
                "request.answer",
                "gateway.serve",
                "request.file",
            ];
            assert_line(&request, &line);
        }
    }
    running.stop().await;
    // No person, no row and no key in any span.
    for span in collector.spans() {
        for (key, value) in &span.attributes {
            assert!(!value.contains(PERSON), "{key} of {} is {value}", span.name);
        }
        let is_known = |key: &String| key.starts_with("slacktide.") || key.starts_with("http.");
        assert!(span.attributes.keys().all(is_known), "{span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_follows_chunk_and_request_over_nats() {
    follow("traces_nats", Transport::Nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_follows_chunk_and_request_over_https() {
    follow("traces_https", Transport::Https).await;
}

/// Returns the contexts of the last chunk and of the requests at the exchange.
async fn contexts(site: &RequestSite) -> Vec<Option<exchange::TraceParent>> {
    let auditor = site.exchange("auditor").await;
    let recipient = RecipientName::new(INSURER).unwrap();
    let feed = FeedName::new("claim").unwrap();
    let lane = Lane { recipient, feed };
    let chunk = until("a chunk at the exchange", DEADLINE, async || {
        let last = auditor
            .last_chunk(&lane)
            .await
            .map_err(|error| error.to_string())?;
        last.ok_or_else(|| "there is none".to_owned())
    })
    .await;
    let mut contexts = vec![chunk.trace];
    for stored in site.stream(Stream::Requests).await {
        contexts.push(stored.trace);
    }
    contexts
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_off_sends_no_header_and_no_span() {
    let site = RequestSite::start("traces_off", 200, "mode = \"open\"").await;
    let collector = Collector::start().await;
    let running = Running::start(&site, Transport::Https, "").await;
    ask(&site).await;
    let found = contexts(&site).await;
    assert!(found.len() > 1 && found.iter().all(Option::is_none), "{found:?}");
    running.stop().await;
    assert!(collector.spans().is_empty());
    // The comparison fails without this: what is on does send both.
    let telemetry = format!(
        "[telemetry]\notlp = \"http://127.0.0.1:{}\"\nsample = 1.0\n",
        collector.port
    );
    site.core
        .execute("UPDATE claim SET updated_at = now() WHERE id = 1")
        .await;
    let running = Running::start(&site, Transport::Nats, &telemetry).await;
    trace_with(&collector, &["chunk.publish", "chunk.store"]).await;
    assert!(contexts(&site).await[0].is_some());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_collector_down_stops_nothing_and_is_counted() {
    let site = RequestSite::start("traces_down", 200, "mode = \"open\"").await;
    let telemetry = format!("[telemetry]\notlp = \"http://127.0.0.1:{}\"\n", free_port());
    let running = Running::start(&site, Transport::Nats, &telemetry).await;
    ask(&site).await;
    until("dropped spans in the metrics", DEADLINE, async || {
        let page = running.bureau.page("/metrics").await.unwrap().body;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("slacktide_trace_spans_dropped_total "));
        match line.map(str::parse::<f64>) {
            Some(Ok(dropped)) if dropped > 0.0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let health = running.bureau.page("/healthz").await.unwrap();
    assert_eq!(health.status, 200, "{}", health.body);
    running.stop().await;
}
