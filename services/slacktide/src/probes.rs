//! The signals from the source's database and other systems.
//!
//! One prober for the whole process: also across reloads of the policy, it probes the core at most once a second and keeps
//! its counts.

use std::sync::{Arc, LazyLock, OnceLock, Weak};

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::config::SignalsConfig;
use gate::signal::probe::{ProbeCount, Prober};
use gate::signal::{Signal, SignalError, http};
use runtime::config::Loaded;
use source::Source;

use crate::failure::Failure;
use crate::settings::SocialFile;
use crate::settings::database::DatabaseKind;

static PROBER: LazyLock<Prober> = LazyLock::new(Prober::new);

/// The source whose statements are our own.
static OWN_SOURCE: OnceLock<Weak<dyn Source>> = OnceLock::new();

/// Returns the counts of the probes.
pub(crate) fn count() -> ProbeCount {
    PROBER.count()
}

/// Sets the source of our own statements: its transactions are not the business's.
pub(crate) fn set_own_source(source: &Arc<dyn Source>) {
    let _ = OWN_SOURCE.set(Arc::downgrade(source));
}

fn own_statements() -> u64 {
    OWN_SOURCE
        .get()
        .and_then(Weak::upgrade)
        .map_or(0, |source| source.driver_counts().statements)
}

/// Starts the signals of the file; each is read until it is dropped. Without a database signal, no connection to the core
/// is opened.
///
/// # Errors
/// If a secret cannot be read, an address is invalid, or the source does not support a signal.
pub(crate) fn signals(loaded: &Loaded<SocialFile>) -> Result<Vec<Box<dyn Signal>>, Failure> {
    let file = &loaded.value;
    let config = &file.gate.signals;
    let mut signals =
        http::start(&config.url, loaded.folder()).map_err(|error| Failure::usage(error.to_string()))?;
    if !uses_database(config) {
        return Ok(signals);
    }
    let probes = match (file.source.kind, &file.source.url, &file.source.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let url = url.read(loaded.folder())?;
            source::postgres::probes(url.expose(), config, Arc::new(own_statements))?
        }
        (DatabaseKind::Sqlite, _, Some(path)) => source::sqlite::probes(&loaded.resolve(path), config)?,
        // The rules of the file exclude it.
        _ => return Err(Failure::usage("[source] has neither url nor path")),
    };
    signals.extend(PROBER.start(probes));
    Ok(signals)
}

/// Starts the signals for a reload: a signal that cannot start always fails with the reason, which closes the gate.
pub(crate) fn signals_or_failing(loaded: &Loaded<SocialFile>) -> Vec<Box<dyn Signal>> {
    signals(loaded).unwrap_or_else(|failure| {
        let why = failure.to_string();
        let fails = |name| {
            Box::new(Failing {
                name,
                why: why.clone(),
            }) as Box<dyn Signal>
        };
        signal_names(&loaded.value.gate.signals)
            .into_iter()
            .map(fails)
            .collect()
    })
}

fn uses_database(config: &SignalsConfig) -> bool {
    !config.database.limits().is_empty() || !config.sql.is_empty()
}

fn signal_names(config: &SignalsConfig) -> Vec<SignalName> {
    let sql = config
        .sql
        .keys()
        .map(|name| gate::signal::probe::config::sql_name(name));
    let url = config
        .url
        .keys()
        .map(|name| gate::signal::http::config::url_name(name));
    config
        .database
        .limits()
        .into_keys()
        .chain(sql)
        .chain(url)
        .collect()
}

struct Failing {
    name: SignalName,
    why: String,
}

#[async_trait]
impl Signal for Failing {
    fn name(&self) -> SignalName {
        self.name.clone()
    }

    fn unit(&self) -> &'static str {
        "value"
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        Err(SignalError(self.why.clone()))
    }
}
