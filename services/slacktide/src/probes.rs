//! The signals that are not the host's: what the source's database and other systems tell.
//!
//! One prober for the whole process: also when the policy is loaded anew, the core is asked no
//! more than once a second, and the counts go on.

use std::sync::{Arc, LazyLock, OnceLock, Weak};

use async_trait::async_trait;
use gate::config::SignalsConfig;
use gate::sample::SignalName;
use gate::signal::probe::{ProbeCount, Prober};
use gate::signal::{Signal, SignalError, http};
use runtime::config::Loaded;
use source::Source;

use crate::failure::Failure;
use crate::settings::SocialFile;
use crate::settings::database::DatabaseKind;

static PROBER: LazyLock<Prober> = LazyLock::new(Prober::new);

/// Whose statements are ours, once there is one.
static OWN: OnceLock<Weak<dyn Source>> = OnceLock::new();

/// What the probes did to the core so far.
pub(crate) fn count() -> ProbeCount {
    PROBER.count()
}

/// Tells which source is our own work: its transactions are not the business's.
pub(crate) fn own(source: &Arc<dyn Source>) {
    let _ = OWN.set(Arc::downgrade(source));
}

fn own_statements() -> u64 {
    OWN.get()
        .and_then(Weak::upgrade)
        .map_or(0, |source| source.counted().statements)
}

/// The signals that the file asks for, each asked from now on until it is dropped. None asked
/// for: the core is not touched.
///
/// # Errors
/// A secret that cannot be read, an address, or a signal that this kind of source cannot give.
pub(crate) fn signals(loaded: &Loaded<SocialFile>) -> Result<Vec<Box<dyn Signal>>, Failure> {
    let file = &loaded.value;
    let config = &file.gate.signals;
    let mut signals =
        http::start(config, loaded.folder()).map_err(|error| Failure::usage(error.to_string()))?;
    if !asks_source(config) {
        return Ok(signals);
    }
    let probes = match (file.source.kind, &file.source.url, &file.source.path) {
        (DatabaseKind::Postgres, Some(url), _) => {
            let url = url.read(loaded.folder())?;
            source::postgres::probes(url.expose(), config, Arc::new(own_statements))?
        }
        (DatabaseKind::Sqlite, _, Some(path)) => source::sqlite::probes(&loaded.resolve(path), config)?,
        // The rules of the file exclude it.
        _ => return Err(Failure::usage("[source] does not say where the database is")),
    };
    signals.extend(PROBER.start(probes));
    Ok(signals)
}

/// The same where there is nobody to tell: a signal that cannot be made fails with the reason,
/// which shuts the gate.
pub(crate) fn signals_or_failing(loaded: &Loaded<SocialFile>) -> Vec<Box<dyn Signal>> {
    signals(loaded).unwrap_or_else(|failure| {
        let why = failure.to_string();
        let fails = |name| {
            Box::new(Failing {
                name,
                why: why.clone(),
            }) as Box<dyn Signal>
        };
        asked(&loaded.value.gate.signals).into_iter().map(fails).collect()
    })
}

fn asks_source(config: &SignalsConfig) -> bool {
    !config.database.limits().is_empty() || !config.sql.is_empty()
}

fn asked(config: &SignalsConfig) -> Vec<SignalName> {
    let sql = config
        .sql
        .keys()
        .map(|name| gate::config::database::sql_name(name));
    let url = config.url.keys().map(|name| gate::config::http::url_name(name));
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
