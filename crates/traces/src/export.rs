//! The queue of ended spans and its end at the collector.
//!
//! Nothing waits for the collector: the queue is bounded, a span that does not fit is dropped and counted, and so are the spans of
//! a batch that the collector did not take. At the end the queue is sent within a bounded time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{
    RetryPolicy, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    Sampler, SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanProcessor,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::collector::Collector;
use crate::config::{BadCollector, TelemetryConfig};
use crate::span::TRACER;

/// Spans that wait for the collector.
const QUEUE: usize = 2_048;

/// Spans of one request to it.
const BATCH: usize = 512;

/// How long spans are collected for one request.
const COLLECT: Duration = Duration::from_secs(1);

/// How long one request may take.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);

/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a stop waits for the rest of the queue.
const FLUSH_WITHIN: Duration = Duration::from_secs(2);

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The spans of this process since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The collector took them.
    pub exported: u64,
    /// The queue was full, or the collector did not take them.
    pub dropped: u64,
}

/// Returns the counts; all are zero while traces are off.
#[must_use]
pub fn counts() -> Counts {
    Counts {
        exported: EXPORTED.load(Ordering::Relaxed),
        dropped: DROPPED.load(Ordering::Relaxed),
    }
}

/// Why traces could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not usable.
    #[error("telemetry.otlp: {0}")]
    Collector(#[from] BadCollector),
    /// The exporter refuses its settings, or traces are started already.
    #[error("traces cannot be started: {0}")]
    Setup(String),
}

/// The running export.
#[derive(Debug)]
pub struct Exporting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Starts traces for this process; `service` names the program's part, `instance` this process. Opens no connection before the first
/// span has ended.
///
/// # Errors
/// [`StartError`] names what to correct.
pub fn start(
    config: &TelemetryConfig,
    service: &'static str,
    instance: &str,
) -> Result<Exporting, StartError> {
    let (host, port) = config.collector()?;
    let setup = |error: &dyn std::fmt::Display| StartError::Setup(error.to_string());
    let mut exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(Collector { host, port })
        .with_endpoint(format!("{}/v1/traces", config.otlp.trim_end_matches('/')))
        .with_timeout(EXPORT_WITHIN)
        // It would sleep on a thread of the runtime; the next batch is the retry.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| setup(&error))?;
    let resource = Resource::builder_empty()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .build();
    exporter.set_resource(&resource);
    let (sender, queue) = mpsc::channel(QUEUE);
    let ratio = Sampler::TraceIdRatioBased(config.sample.clamp(0.0, 1.0));
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource)
        .with_span_processor(Queue(sender))
        .build();
    TRACER
        .set(provider.tracer("slacktide"))
        .map_err(|_| setup(&"they are started already"))?;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(run(queue, exporter, stopped));
    tracing::info!(sample = config.sample, "traces are sent to the collector");
    Ok(Exporting { stop, task })
}

impl Exporting {
    /// Sends the rest of the queue, within 2 s, and ends.
    pub async fn finish(mut self) {
        // Fails only if the task has ended.
        let _ = self.stop.send(());
        if timeout(FLUSH_WITHIN, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the collector did not take the last spans");
        }
    }
}

/// The sender's end of the queue.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

async fn run(
    mut queue: mpsc::Receiver<SpanData>,
    exporter: OtlpExporter,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut is_failing = false;
    let mut is_stopping = false;
    while !is_stopping {
        let mut batch = Vec::with_capacity(BATCH);
        tokio::select! {
            _ = queue.recv_many(&mut batch, BATCH) => {}
            _ = &mut stopped => is_stopping = true,
        }
        if !is_stopping {
            let wait = if is_failing { PAUSE } else { COLLECT };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = &mut stopped => is_stopping = true,
            }
        }
        loop {
            while batch.len() < BATCH
                && let Ok(span) = queue.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                break;
            }
            is_failing = !send(&exporter, std::mem::take(&mut batch), is_failing).await;
            if is_failing {
                break;
            }
        }
    }
}

/// Sends a batch and counts it. Returns whether the collector took it.
async fn send(exporter: &OtlpExporter, batch: Vec<SpanData>, was_failing: bool) -> bool {
    let spans = batch.len() as u64;
    let sent = timeout(EXPORT_WITHIN, exporter.export(batch)).await;
    if matches!(sent, Ok(Ok(()))) {
        EXPORTED.fetch_add(spans, Ordering::Relaxed);
        if was_failing {
            tracing::info!("the collector takes spans again");
        }
        return true;
    }
    DROPPED.fetch_add(spans, Ordering::Relaxed);
    // Once: the number of dropped spans is a metric.
    if !was_failing {
        let error = match sent {
            Ok(Err(error)) => error.to_string(),
            _ => format!("no answer within {} s", EXPORT_WITHIN.as_secs()),
        };
        tracing::warn!(error, "the collector does not take spans, they are dropped");
    }
    false
}
