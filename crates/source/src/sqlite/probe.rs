//! The gate's signals from SQLite, read while it is closed and so without a permit.
//!
//! A canary and the operator's SQL. SQLite has no sessions, so the other signals of a database are a configuration error. The
//! connection is read-only and separate; a progress handler stops a statement after 5 ms.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::config::SignalsConfig;
use gate::signal::probe::config::{CANARY, sql_name};
use gate::signal::probe::{Probe, TIMEOUT};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, ErrorKind, Result};

/// Instructions of the virtual machine between two checks of the time.
const CHECK_EVERY: i32 = 200;

/// Creates the probes that a configuration enables, without opening the file. Empty if no such signal is enabled.
///
/// # Errors
/// `Refused` if a signal is enabled that SQLite does not support.
pub fn probes(path: &Path, config: &SignalsConfig) -> Result<Vec<Box<dyn Probe>>> {
    let on = config.database.limits();
    if let Some(name) = on.keys().find(|name| ***name != *CANARY) {
        let key = name.trim_start_matches("db_");
        return Err(Error::new(
            ErrorKind::Refused,
            format!("gate.signals.database.{key}: SQLite does not show other clients' activity"),
            "turn it off; SQLite supports canary and gate.signals.sql",
        ));
    }
    let mut probes: Vec<Box<dyn Probe>> = Vec::new();
    let mut add = |name: SignalName, unit, sql: &str, canary| {
        probes.push(Box::new(SqliteProbe {
            name,
            unit,
            sql: sql.into(),
            canary,
            path: path.to_owned(),
            connection: None,
        }));
    };
    if let Some(canary) = config.database.canary.as_ref().filter(|canary| canary.enabled) {
        add(CANARY.into(), "ms", &canary.sql, true);
    }
    for (name, table) in &config.sql {
        add(sql_name(name), "value", &table.sql, false);
    }
    Ok(probes)
}

type Shared = Arc<Mutex<Open>>;

struct Open {
    connection: Connection,
    deadline: Arc<Mutex<Option<Instant>>>,
}

struct SqliteProbe {
    name: SignalName,
    unit: &'static str,
    sql: Arc<str>,
    canary: bool,
    path: PathBuf,
    connection: Option<Shared>,
}

#[async_trait]
impl Probe for SqliteProbe {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(self.name.clone(), self.unit)]
    }

    fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    async fn connect(&mut self) -> std::result::Result<(), SignalError> {
        let path = self.path.clone();
        let opened = tokio::task::spawn_blocking(move || open(&path)).await;
        let opened = opened.map_err(|_| SignalError("the thread of a probe failed".to_owned()))?;
        let open = opened.map_err(|error| SignalError(format!("{}: {error}", self.path.display())))?;
        self.connection = Some(Arc::new(Mutex::new(open)));
        Ok(())
    }

    async fn probe(&mut self) -> std::result::Result<BTreeMap<SignalName, f64>, SignalError> {
        let lost = || SignalError("the connection of a probe was lost".to_owned());
        let open = self.connection.clone().ok_or_else(lost)?;
        let (sql, canary) = (Arc::clone(&self.sql), self.canary);
        let began = Instant::now();
        let asked = tokio::task::spawn_blocking(move || ask(&open, &sql, canary)).await;
        let value = asked
            .map_err(|_| lost())?
            .map_err(|what| SignalError(format!("{}: {what}", self.name)))?;
        let value = if canary {
            began.elapsed().as_secs_f64() * 1e3
        } else {
            value
        };
        Ok(BTreeMap::from([(self.name.clone(), value)]))
    }

    fn disconnect(&mut self) {
        self.connection = None;
    }
}

fn open(path: &Path) -> rusqlite::Result<Open> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(TIMEOUT)?;
    connection.pragma_update(None, "query_only", true)?;
    let deadline = Arc::new(Mutex::new(None::<Instant>));
    let until = Arc::clone(&deadline);
    let late = move || {
        let until = *until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() >= until)
    };
    connection.progress_handler(CHECK_EVERY, Some(late))?;
    Ok(Open { connection, deadline })
}

/// Returns the one number of the one row. A canary may return any rows.
fn ask(open: &Shared, sql: &str, canary: bool) -> std::result::Result<f64, String> {
    let open = open.lock().unwrap_or_else(PoisonError::into_inner);
    let set = |until| *open.deadline.lock().unwrap_or_else(PoisonError::into_inner) = until;
    set(Some(Instant::now() + TIMEOUT));
    let value = read(&open.connection, sql, canary);
    set(None);
    value
}

fn read(connection: &Connection, sql: &str, canary: bool) -> std::result::Result<f64, String> {
    let describe = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => format!("no answer within {} ms", TIMEOUT.as_millis()),
        _ => super::failure::classify(&error).what,
    };
    let mut statement = connection.prepare_cached(sql).map_err(describe)?;
    if !statement.readonly() {
        return Err("is not a query".to_owned());
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    if canary {
        while rows.next().map_err(describe)?.is_some() {}
        return Ok(0.0);
    }
    if columns != 1 {
        return Err(format!("returned {columns} columns; it must return one"));
    }
    let row = rows
        .next()
        .map_err(describe)?
        .ok_or("returned no row; it must return one")?;
    let value = match row.get_ref(0).map_err(describe)? {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are enough for a load limit")]
        ValueRef::Integer(value) => value as f64,
        ValueRef::Real(value) => value,
        ValueRef::Null => return Err("returned null; COALESCE it to a number".to_owned()),
        ValueRef::Text(_) | ValueRef::Blob(_) => {
            return Err("returned a text; it must return a number".to_owned());
        }
    };
    if rows.next().map_err(describe)?.is_some() {
        return Err("returned more than one row; it must return one".to_owned());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> SignalsConfig {
        serde_json::from_str(text).unwrap_or_default()
    }

    #[tokio::test]
    async fn probe_of_other_than_one_number_names_the_signal() -> std::result::Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("core.db");
        let core = Connection::open(&path).map_err(|error| error.to_string())?;
        core.execute_batch("CREATE TABLE q (n); INSERT INTO q VALUES (1), (2)")
            .map_err(|error| error.to_string())?;
        for (sql, wanted) in [
            ("SELECT count(*) FROM q", Ok(2.0)),
            ("SELECT 1.5", Ok(1.5)),
            ("SELECT n FROM q", Err("more than one row")),
            ("SELECT n FROM q WHERE 0", Err("no row")),
            ("SELECT 1, 2", Err("2 columns")),
            ("SELECT 'x'", Err("a text")),
            ("SELECT NULL", Err("COALESCE")),
            ("SELECT * FROM nowhere", Err("nowhere")),
            (
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
                Err("no answer within 5 ms"),
            ),
        ] {
            let table = format!(r#"{{"sql":{{"queue":{{"sql":"{sql}","stop":2,"resume":1}}}}}}"#);
            let mut probes = probes(&path, &config(&table)).map_err(|error| error.to_string())?;
            let probe = probes.first_mut().ok_or("no probe")?;
            probe.connect().await.map_err(|error| error.to_string())?;
            match (probe.probe().await, wanted) {
                (Ok(values), Ok(value)) => {
                    let reading = values.get("sql.queue").copied().unwrap_or(f64::NAN);
                    assert!((reading - value).abs() < 1e-9, "{sql}: {reading}");
                }
                (Err(error), Err(wanted)) => {
                    assert!(
                        error.0.starts_with("sql.queue: ") && error.0.contains(wanted),
                        "{sql}: {error}"
                    );
                }
                (result, _) => return Err(format!("{sql}: {result:?}")),
            }
        }
        Ok(())
    }

    #[test]
    fn probe_unsupported_signal_is_refused_by_key() {
        let error = probes(Path::new("core.db"), &config(r#"{"database":{"lock_waits":{}}}"#));
        let error = error
            .map(|_| ())
            .map_err(|error| error.to_string())
            .err()
            .unwrap_or_default();
        assert!(
            error.contains("gate.signals.database.lock_waits") && error.contains("canary"),
            "{error}"
        );
        assert!(
            probes(Path::new("core.db"), &SignalsConfig::default()).is_ok_and(|probes| probes.is_empty())
        );
    }
}
