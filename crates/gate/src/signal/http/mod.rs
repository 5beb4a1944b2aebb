//! A number that another system tells over HTTP: a monitoring server, a throttler.
//!
//! Each URL has a task of its own, so a slow answer delays no sample; the signal reads what came
//! last, with its age. No redirect is followed, no more than 64 KB is read, and of the URL only
//! the host is ever told.
//!
//! - `fetch` one request; `answer` PURE: the number in it

mod answer;
mod fetch;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::fetch::Request;
use super::{Signal, SignalError};
use crate::config::SignalsConfig;
use crate::config::http::{UrlSignalConfig, UrlValue, url_name};
use crate::sample::SignalName;

/// How much older than one round a value may be.
const GRACE: Duration = Duration::from_secs(2);

/// The signals of the URLs of a configuration, each asking from now on until it is dropped.
/// Files of secrets are meant from `folder`.
///
/// # Errors
/// A secret or a certificate that cannot be read, with the signal's name.
pub fn start(config: &SignalsConfig, folder: &Path) -> Result<Vec<Box<dyn Signal>>, SignalError> {
    let mut signals: Vec<Box<dyn Signal>> = Vec::new();
    for (name, table) in &config.url {
        let at = |what: String| SignalError(format!("gate.signals.url.{name}: {what}"));
        let request = Request::new(table, folder).map_err(at)?;
        signals.push(Box::new(Url::new(url_name(name), table, request)));
    }
    Ok(signals)
}

type Last = Arc<Mutex<Option<(Instant, Result<f64, SignalError>)>>>;

struct Url {
    name: SignalName,
    last: Last,
    most_age: Duration,
    task: JoinHandle<()>,
}

impl Url {
    fn new(name: SignalName, table: &UrlSignalConfig, request: Request) -> Self {
        let last = Last::default();
        let (every, within) = (table.every.get(), table.timeout.get());
        let (status, pointer) = (table.value == UrlValue::Status, table.json.clone());
        let kept = Arc::clone(&last);
        let task = tokio::spawn(async move {
            let mut ticks = interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let said = match timeout(within, request.get()).await {
                    Ok(Ok(answer)) => answer::value(&answer, status, pointer.as_deref()),
                    Ok(Err(what)) => Err(what),
                    Err(_) => Err(format!("no answer within {} ms", within.as_millis())),
                };
                let said = said.map_err(|what| SignalError(format!("{}: {what}", request.told())));
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), said));
            }
        });
        Self {
            name,
            last,
            most_age: every.saturating_add(within).saturating_add(GRACE),
            task,
        }
    }
}

impl Drop for Url {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Signal for Url {
    fn name(&self) -> SignalName {
        self.name.clone()
    }

    fn unit(&self) -> &'static str {
        "value"
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (at, said) = last.ok_or_else(|| SignalError("not asked yet".to_owned()))?;
        let age = at.elapsed();
        if said.is_ok() && age > self.most_age {
            return Err(SignalError(format!("last asked {} ms ago", age.as_millis())));
        }
        said
    }
}

#[cfg(test)]
mod tests;
