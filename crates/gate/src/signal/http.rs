//! A number from another system over HTTP: a monitoring server, a throttler.
//!
//! Each URL has its own task, so that a slow answer delays no sample; the signal reads the latest result with its age.
//! Redirects are not followed, at most 64 KB are read, and only the host of the URL is ever shown.
//!
//! - [`config`] the configuration
//! - `fetch` one request; `answer` PURE: extracts the number

mod answer;
pub mod config;
mod error;
mod fetch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::config::{UrlSignalConfig, UrlValue, url_name};
use self::error::RequestError;
use self::fetch::Request;
use super::{Signal, SignalError};
use crate::sample::SignalName;

/// How much older than one round a value may be.
const GRACE: Duration = Duration::from_secs(2);

/// Starts the URL signals of a configuration; each polls until it is dropped. Secret files are relative to `folder`.
///
/// # Errors
/// If a secret or a certificate cannot be read; contains the signal's name.
pub fn start(
    urls: &BTreeMap<String, UrlSignalConfig>,
    folder: &Path,
) -> Result<Vec<Box<dyn Signal>>, SignalError> {
    let mut signals: Vec<Box<dyn Signal>> = Vec::new();
    for (name, table) in urls {
        let at = |error: RequestError| SignalError(format!("gate.signals.url.{name}: {error}"));
        let request = Request::new(table, folder).map_err(at)?;
        signals.push(Box::new(UrlSignal::new(url_name(name), table, request)));
    }
    Ok(signals)
}

type Last = Arc<Mutex<Option<(Instant, Result<f64, SignalError>)>>>;

struct UrlSignal {
    name: SignalName,
    last: Last,
    max_age: Duration,
    task: JoinHandle<()>,
}

impl UrlSignal {
    fn new(name: SignalName, table: &UrlSignalConfig, request: Request) -> Self {
        let last = Last::default();
        let (every, within) = (table.every.get(), table.timeout.get());
        let (status, pointer) = (table.value == UrlValue::Status, table.json.clone());
        let writer = Arc::clone(&last);
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let reading = match timeout(within, request.get()).await {
                    Ok(Ok(answer)) => {
                        answer::value(&answer, status, pointer.as_deref()).map_err(RequestError::from)
                    }
                    Ok(Err(error)) => Err(error),
                    Err(_) => Err(RequestError::Timeout(within)),
                };
                let reading =
                    reading.map_err(|error| SignalError(format!("{}: {error}", request.display_host())));
                *writer.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reading));
            }
        });
        Self {
            name,
            last,
            max_age: every.saturating_add(within).saturating_add(GRACE),
            task,
        }
    }
}

impl Drop for UrlSignal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Signal for UrlSignal {
    fn name(&self) -> SignalName {
        self.name.clone()
    }

    fn unit(&self) -> &'static str {
        "value"
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (at, reading) = last.ok_or_else(|| SignalError("not asked yet".to_owned()))?;
        let age = at.elapsed();
        if reading.is_ok() && age > self.max_age {
            return Err(SignalError(format!("last asked {} ms ago", age.as_millis())));
        }
        reading
    }
}

#[cfg(test)]
mod tests;
