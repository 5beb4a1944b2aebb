//! What the gate asks of PostgreSQL while it is shut, and so without a permit.
//!
//! One session of its own, named `slacktide-probe`: read-only by default, every statement its own
//! transaction, given up by the server after 5 ms. The settings come with the connection, so that
//! setting up is no statement. The gate's prober paces it.
//!
//! Others' activity is read from the statistics views. Where the account may not see it, or a
//! session does not tell it, the reading fails: what is not seen is not zero.
//!
//! - `link` the session
//! - `activity`, `replication`, `transactions`, `canary`, `sql` one statement each
//! - `number` the one number of the user's SQL

mod activity;
mod canary;
mod link;
mod number;
mod replication;
mod sql;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::config::SignalsConfig;
use gate::config::database::{self, DatabaseSignalsConfig, SqlSignalConfig};
use gate::signal::SignalError;
use gate::signal::probe::Probe;

use self::link::Link;
use crate::error::Result;

/// How many statements our own reader has run so far: its transactions are not the business's.
pub type OwnStatements = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The statements, in turn, that a configuration asks for; none when no such signal is on.
/// Connects to nothing yet.
///
/// # Errors
/// `Refused` when the URL cannot be read; the URL is not repeated, for it may hold a password.
pub fn probes(url: &str, config: &SignalsConfig, own: OwnStatements) -> Result<Vec<Box<dyn Probe>>> {
    let link = Arc::new(Link::new(url)?);
    let mut probes = of_database(&link, &config.database, own);
    probes.extend(of_sql(&link, &config.sql));
    Ok(probes)
}

fn of_database(link: &Arc<Link>, config: &DatabaseSignalsConfig, own: OwnStatements) -> Vec<Box<dyn Probe>> {
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

fn of_sql(link: &Arc<Link>, config: &BTreeMap<String, SqlSignalConfig>) -> Vec<Box<dyn Probe>> {
    let one = |(name, table): (&String, &SqlSignalConfig)| {
        let name = database::sql_name(name);
        Box::new(sql::Sql::new(Arc::clone(link), name, table.sql.clone())) as Box<dyn Probe>
    };
    config.iter().map(one).collect()
}

/// A column that is not what this version asked for.
fn unreadable(_: tokio_postgres::Error) -> SignalError {
    SignalError("the database gave what this version does not understand; report its version".to_owned())
}
