//! `[gate.signals.database]` and `[gate.signals.sql.NAME]`: queries of the source's database.
//!
//! All are off by default, as they cost the core one statement per second. A table turns its signal on, unless it
//! contains `enabled = false`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TIMEOUT;
use crate::config_error::ConfigError;
use crate::limits::Limit;
use crate::sample::SignalName;
use crate::signal::limit_checks::{validate_limit_order, validate_name};

/// Active sessions of others.
pub const ACTIVE: &str = "db_active";
/// Sessions of others that wait for a lock.
pub const LOCK_WAITS: &str = "db_lock_waits";
/// Sessions of others that wait for I/O.
pub const IO_WAITS: &str = "db_io_waits";
/// Lag of the slowest replica, in seconds.
pub const REPLICATION_LAG: &str = "db_replication_lag";
/// Transactions of others per second.
pub const TRANSACTIONS: &str = "db_transactions";
/// Duration of the canary's statement, in milliseconds.
pub const CANARY: &str = "db_canary";

/// The `[gate.signals.database]` table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSignalsConfig {
    /// Active sessions of others. Stops at 8, resumes below 4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<ProbeConfig>,
    /// Sessions of others that wait for a lock. Stops at 2, resumes below 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_waits: Option<ProbeConfig>,
    /// Sessions of others that wait for I/O. Stops at 4, resumes below 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub io_waits: Option<ProbeConfig>,
    /// Lag of the slowest replica. Stops at 10 seconds, resumes below 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_lag: Option<ProbeConfig>,
    /// Transactions of others in the source's database. Stops at 500 a second, resumes below 250.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactions: Option<ProbeConfig>,
    /// Duration of a small statement. Stops at 3 milliseconds, resumes below 1.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryConfig>,
}

/// One signal of the database; omitted limits have defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Whether it is queried.
    pub enabled: bool,
    /// The gate closes at this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// The gate may open below this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// At this value everything stops and connections are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            stop: None,
            resume: None,
            critical: None,
        }
    }
}

/// The `[gate.signals.database.canary]` table. Limits are milliseconds, below the 5 ms timeout of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryConfig {
    /// Whether it is queried.
    pub enabled: bool,
    /// The statement: one SELECT, for example a read by key of a table that is always in use.
    pub sql: String,
    /// The gate closes at this latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<f64>,
    /// The gate may open below this latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<f64>,
    /// At this latency everything stops and connections are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

impl Default for CanaryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            sql: "SELECT 1".to_owned(),
            stop: None,
            resume: None,
            critical: None,
        }
    }
}

impl CanaryConfig {
    fn limits(&self) -> ProbeConfig {
        ProbeConfig {
            enabled: self.enabled,
            stop: self.stop,
            resume: self.resume,
            critical: self.critical,
        }
    }
}

/// One `[gate.signals.sql.NAME]`: a SELECT that returns one row with one number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSignalConfig {
    /// The statement.
    pub sql: String,
    /// The gate closes at this value.
    pub stop: f64,
    /// The gate may open below this value.
    pub resume: f64,
    /// At this value everything stops and connections are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

/// Returns the name of a `[gate.signals.sql.NAME]` signal.
#[must_use]
pub fn sql_name(name: &str) -> SignalName {
    format!("sql.{name}").into()
}

struct SignalDefaults {
    name: &'static str,
    key: &'static str,
    stop: f64,
    resume: f64,
    unit: &'static str,
}

impl DatabaseSignalsConfig {
    fn all(&self) -> [(SignalDefaults, Option<ProbeConfig>); 6] {
        let defaults = |name, key, stop, resume, unit| SignalDefaults {
            name,
            key,
            stop,
            resume,
            unit,
        };
        [
            (
                defaults(ACTIVE, "signals.database.active", 8.0, 4.0, "sessions"),
                self.active.clone(),
            ),
            (
                defaults(LOCK_WAITS, "signals.database.lock_waits", 2.0, 1.0, "sessions"),
                self.lock_waits.clone(),
            ),
            (
                defaults(IO_WAITS, "signals.database.io_waits", 4.0, 2.0, "sessions"),
                self.io_waits.clone(),
            ),
            (
                defaults(
                    REPLICATION_LAG,
                    "signals.database.replication_lag",
                    10.0,
                    3.0,
                    "seconds",
                ),
                self.replication_lag.clone(),
            ),
            (
                defaults(
                    TRANSACTIONS,
                    "signals.database.transactions",
                    500.0,
                    250.0,
                    "transactions/s",
                ),
                self.transactions.clone(),
            ),
            (
                defaults(CANARY, "signals.database.canary", 3.0, 1.5, "ms"),
                self.canary.as_ref().map(CanaryConfig::limits),
            ),
        ]
    }

    /// Returns the limits of the enabled signals.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<SignalName, Limit> {
        let on = self.all().into_iter().filter_map(|(defaults, table)| {
            let table = table.filter(|table| table.enabled)?;
            let limit = Limit {
                stop: table.stop.unwrap_or(defaults.stop),
                resume: table.resume.unwrap_or(defaults.resume),
                critical: table.critical,
                quiet: None,
                unit: defaults.unit,
            };
            Some((defaults.name.into(), limit))
        });
        on.collect()
    }

    /// Checks what the types cannot express.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let limits = self.limits();
        for (defaults, _) in self.all() {
            if let Some(limit) = limits.get(defaults.name) {
                validate_limit_order(defaults.key, None, limit)?;
            }
        }
        let Some(canary) = self.canary.as_ref().filter(|canary| canary.enabled) else {
            return Ok(());
        };
        validate_query("signals.database.canary.sql", None, &canary.sql)?;
        let most = TIMEOUT.as_secs_f64() * 1e3;
        match limits.get(CANARY) {
            Some(limit) if limit.critical.unwrap_or(limit.stop).max(limit.stop) >= most => Err(ConfigError {
                key: "signals.database.canary.stop",
                what: format!("is {}", limit.critical.unwrap_or(limit.stop)),
                remedy: "a canary times out after 5 ms, which closes the gate: set limits below 5",
            }),
            _ => Ok(()),
        }
    }
}

/// Returns the limits of the user's own SQL.
pub(crate) fn sql_limits(sql: &BTreeMap<String, SqlSignalConfig>) -> BTreeMap<SignalName, Limit> {
    let limit = |(name, table): (&String, &SqlSignalConfig)| {
        let limit = Limit {
            stop: table.stop,
            resume: table.resume,
            critical: table.critical,
            quiet: None,
            unit: "value",
        };
        (sql_name(name), limit)
    };
    sql.iter().map(limit).collect()
}

/// Checks the user's own SQL.
pub(crate) fn validate_sql(sql: &BTreeMap<String, SqlSignalConfig>) -> Result<(), ConfigError> {
    let limits = sql_limits(sql);
    for (name, table) in sql {
        validate_name("signals.sql", name)?;
        validate_query("signals.sql.NAME.sql", Some(name), &table.sql)?;
        if let Some(limit) = limits.get(&sql_name(name)) {
            validate_limit_order("signals.sql.NAME", Some(name), limit)?;
        }
    }
    Ok(())
}

/// Checks that this is one SELECT; a probe that began a transaction would leave it open.
fn validate_query(key: &'static str, name: Option<&str>, sql: &str) -> Result<(), ConfigError> {
    let word: String = sql
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    let is_select = ["SELECT", "WITH"]
        .iter()
        .any(|defaults| word.eq_ignore_ascii_case(defaults));
    if is_select && !sql.trim_end().ends_with(';') {
        return Ok(());
    }
    let prefix = name.map(|name| format!("of {name:?} ")).unwrap_or_default();
    Err(ConfigError {
        key,
        what: format!("{prefix}is not a query"),
        remedy: "set one statement that begins with SELECT or WITH, without a semicolon",
    })
}

#[cfg(test)]
mod tests;
