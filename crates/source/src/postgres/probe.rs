//! The gate's signals from PostgreSQL, read while it is closed and so without a permit.
//!
//! One session, named `slacktide-probe`: read-only by default, every statement its own transaction, cancelled by the server after
//! 5 ms. The settings are connection options, so setup needs no statement. The gate's prober paces it.
//!
//! The statistics views show other sessions' activity. If the account may not see it, or a session does not report it, the reading
//! fails: an invisible value is not zero.
//!
//! - `link` the session
//! - `activity`, `replication`, `transactions`, `canary`, `sql` one statement each
//! - `number` converts the result of the operator's SQL

mod activity;
mod canary;
mod link;
mod number;
mod replication;
mod sql;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::signal::SignalError;
use gate::signal::config::SignalsConfig;
use gate::signal::probe::Probe;
use gate::signal::probe::config::{self as database, DatabaseSignalsConfig, SqlSignalConfig};

use self::link::Link;
use crate::error::Result;

/// Returns how many statements the agent's reader has run so far. Its transactions are not the business's.
pub type OwnStatements = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Creates the probes that a configuration enables, without connecting. Empty if no such signal is enabled.
///
/// # Errors
/// `Refused` if the URL is invalid. The error omits the URL, which may contain a password.
pub fn probes(url: &str, config: &SignalsConfig, own: OwnStatements) -> Result<Vec<Box<dyn Probe>>> {
    let link = Arc::new(Link::new(url)?);
    let mut probes = database_probes(&link, &config.database, own);
    probes.extend(sql_probes(&link, &config.sql));
    Ok(probes)
}

fn database_probes(
    link: &Arc<Link>,
    config: &DatabaseSignalsConfig,
    own: OwnStatements,
) -> Vec<Box<dyn Probe>> {
    let on = config.limits();
    let mut probes: Vec<Box<dyn Probe>> = Vec::new();
    let activity: Vec<_> = activity::NAMES
        .iter()
        .filter(|name| on.contains_key(**name))
        .copied()
        .collect();
    if !activity.is_empty() {
        probes.push(Box::new(activity::Activity::new(Arc::clone(link), activity)));
    }
    if on.contains_key(database::REPLICATION_LAG) {
        probes.push(Box::new(replication::Replication::new(Arc::clone(link))));
    }
    if on.contains_key(database::TRANSACTIONS) {
        probes.push(Box::new(transactions::Transactions::new(Arc::clone(link), own)));
    }
    if let Some(canary) = config.canary.as_ref().filter(|canary| canary.enabled) {
        probes.push(Box::new(canary::Canary::new(
            Arc::clone(link),
            canary.sql.clone(),
        )));
    }
    probes
}

fn sql_probes(link: &Arc<Link>, config: &BTreeMap<String, SqlSignalConfig>) -> Vec<Box<dyn Probe>> {
    let one = |(name, table): (&String, &SqlSignalConfig)| {
        let name = database::sql_name(name);
        Box::new(sql::Sql::new(Arc::clone(link), name, table.sql.clone())) as Box<dyn Probe>
    };
    config.iter().map(one).collect()
}

/// Creates the error of an unexpected column.
fn unreadable(_: tokio_postgres::Error) -> SignalError {
    SignalError("unexpected result of a statistics query; report the database's version".to_owned())
}
