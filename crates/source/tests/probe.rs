//! The gate's probes against a real PostgreSQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use gate::sample::SignalName;
use gate::signal::config::SignalsConfig;
use gate::signal::probe::{Probe, Prober};
use gate::signal::{Signal, SignalError};
use harness::{Db, Postgres, PostgresOptions, until};
use source::postgres::probes;

use crate::postgres::SOON;

const MONITOR: &str =
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO $role; GRANT pg_read_all_stats TO $role;";
const ACTIVITY: &str = r#"{"database":{"active":{},"lock_waits":{},"io_waits":{}}}"#;

async fn made(db: &Db, grants: &str, config: &str) -> (Vec<Box<dyn Probe>>, String) {
    let role = db.role("prober", grants).await;
    let config: SignalsConfig = serde_json::from_str(config).unwrap();
    (probes(&db.url_as(&role), &config, Arc::new(|| 0)).unwrap(), role)
}

async fn connected(db: &Db, grants: &str, config: &str) -> (Box<dyn Probe>, String) {
    let (mut probes, role) = made(db, grants, config).await;
    let mut probe = probes.remove(0);
    probe.connect().await.unwrap();
    (probe, role)
}

/// Reads a probe. Retries while the new session fills its catalogue caches, for which 5 ms may be too short.
async fn read_probe(probe: &mut dyn Probe) -> Result<BTreeMap<SignalName, f64>, SignalError> {
    until("an answer in time", SOON, async || match probe.probe().await {
        Err(error) if error.0.contains("no answer within") => Err(error),
        result => Ok(result),
    })
    .await
}

async fn server() -> Postgres {
    Postgres::private(PostgresOptions {
        settings: vec![
            ("log_statement".to_owned(), "all".to_owned()),
            ("log_line_prefix".to_owned(), "%n %a|".to_owned()),
        ],
        ..PostgresOptions::default()
    })
    .await
}

/// Regression: the gate read its own work as foreground load. Only other clients are counted.
#[tokio::test]
async fn probe_activity_counts_other_clients_only() {
    let server = server().await;
    let db = server.database("probe").await;
    db.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .await;
    let (mut probe, role) = connected(&db, MONITOR, ACTIVITY).await;
    let counts = |values: BTreeMap<SignalName, f64>| {
        format!(
            "{} {} {}",
            values["db_active"], values["db_lock_waits"], values["db_io_waits"]
        )
    };
    assert_eq!(counts(read_probe(probe.as_mut()).await.unwrap()), "0 0 0");

    // The agent's own reader, at work.
    let own = db.connect_as(&role).await;
    own.batch_execute("SET application_name = 'slacktide'")
        .await
        .unwrap();
    let reading = tokio::spawn(async move { own.batch_execute("SELECT pg_sleep(60)").await });
    // A client that holds a lock and is idle, and one that waits for it.
    let holder = db.connect().await;
    holder.batch_execute("BEGIN; UPDATE t SET id = 2").await.unwrap();
    let waiter = db.connect().await;
    let waiting = tokio::spawn(async move { waiter.batch_execute("UPDATE t SET id = 3").await });
    until("one active session, which waits for a lock", SOON, async || {
        let own =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slacktide' AND state = 'active'";
        if db.number(own).await != 1 {
            return Err("our own reader does not work yet".to_owned());
        }
        let counts = counts(read_probe(probe.as_mut()).await.unwrap());
        if counts == "1 1 0" { Ok(()) } else { Err(counts) }
    })
    .await;
    waiting.abort();
    reading.abort();
}

#[tokio::test]
async fn probe_without_privilege_fails_with_the_grant() {
    let server = server().await;
    let db = server.database("probe").await;
    let _other = db.connect().await;
    let (mut probe, _) = connected(&db, "", ACTIVITY).await;
    let error = read_probe(probe.as_mut()).await.unwrap_err();
    assert!(error.0.contains("GRANT pg_read_all_stats"), "{error}");
}

#[tokio::test]
async fn probe_returns_its_number_or_the_cause() {
    let server = server().await;
    let db = server.database("probe").await;
    db.execute("CREATE TABLE q (n numeric(8,2)); INSERT INTO q VALUES (1.25), (1.25)")
        .await;
    for (sql, wanted) in [
        ("SELECT sum(n) FROM q", Ok(2.5)),
        ("SELECT count(*) FROM q", Ok(2.0)),
        ("SELECT extract(epoch FROM interval '3 s')", Ok(3.0)),
        ("SELECT n FROM q", Err("returned 2 rows")),
        ("SELECT 1, 2", Err("returned 2 columns")),
        ("SELECT 'secret'::text", Err("returned a text")),
        ("SELECT NULL::int", Err("COALESCE")),
        ("SELECT 'NaN'::float8", Err("returned a float8")),
        ("SELECT 1; SELECT 2", Err("")),
        (
            "WITH x AS (INSERT INTO q VALUES (9) RETURNING 1) SELECT 1",
            Err(""),
        ),
    ] {
        let config = serde_json::json!({ "sql": { "queue": { "sql": sql, "stop": 9, "resume": 1 } } });
        let (mut probe, _) = connected(&db, MONITOR, &config.to_string()).await;
        match (read_probe(probe.as_mut()).await, wanted) {
            (Ok(values), Ok(value)) => {
                assert!((values["sql.queue"] - value).abs() < 1e-9, "{sql}: {values:?}")
            }
            (Err(error), Err(wanted)) => {
                assert!(
                    error.0.starts_with("sql.queue: ") && error.0.contains(wanted),
                    "{sql}: {error}"
                );
                assert!(!error.0.contains("secret"), "{error}");
            }
            (result, _) => panic!("{sql}: {result:?}"),
        }
    }
    let (mut lag, _) = connected(&db, MONITOR, r#"{"database":{"replication_lag":{}}}"#).await;
    let error = read_probe(lag.as_mut()).await.unwrap_err();
    assert!(error.0.contains("no replica is connected"), "{error}");
    let (mut rate, _) = connected(&db, MONITOR, r#"{"database":{"transactions":{}}}"#).await;
    let first = until("the first reading", SOON, async || {
        match read_probe(rate.as_mut()).await {
            Err(error) if error.0.contains("the first") => Ok(error),
            other => Err(format!("{other:?}")),
        }
    });
    first.await;
    assert!(read_probe(rate.as_mut()).await.unwrap()["db_transactions"] >= 0.0);
    let (mut canary, _) = connected(&db, MONITOR, r#"{"database":{"canary":{}}}"#).await;
    let took = read_probe(canary.as_mut()).await.unwrap()["db_canary"];
    assert!(took > 0.0, "{took}");
}

/// By the server's log: the probes together run at most one statement per second, and leave no transaction open.
#[tokio::test]
async fn probe_runs_one_statement_per_second() {
    let server = server().await;
    let db = server.database("probe").await;
    let config = r#"{"database":{"active":{},"canary":{},"transactions":{}},"sql":{"two":{"sql":"SELECT 2","stop":9,"resume":1}}}"#;
    let (probes, _) = made(&db, MONITOR, config).await;
    let prober = Prober::new();
    let signals = prober.start(probes);
    assert_eq!(signals.len(), 4);
    let statements = || -> Vec<f64> {
        let log = server.log();
        let of_probes = log
            .lines()
            .filter_map(|line| line.split_once(" slacktide-probe|"));
        let asked = of_probes.filter(|(_, text)| text.contains("execute") || text.contains("statement:"));
        asked.filter_map(|(at, _)| at.parse().ok()).collect()
    };
    until("six statements", SOON, async || statements().len() >= 6).await;
    for pair in statements().windows(2) {
        assert!(pair[1] - pair[0] >= 1.0, "{} s apart", pair[1] - pair[0]);
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slacktide-probe' AND state LIKE 'idle in transaction%'";
    assert_eq!(db.number(open).await, 0);
    assert!(prober.count().probes >= 6);
}

/// A frozen server must not count as idle.
#[tokio::test]
async fn probe_of_a_frozen_backend_fails() {
    let server = server().await;
    let db = server.database("probe").await;
    let (probes, _) = made(&db, MONITOR, r#"{"database":{"canary":{}}}"#).await;
    let mut signals = Prober::new().start(probes);
    let signal: &mut Box<dyn Signal> = &mut signals[0];
    until("a first value", SOON, async || signal.read().await).await;
    let pid = "SELECT pid::int8 FROM pg_stat_activity WHERE application_name = 'slacktide-probe'";
    let pid = db.number(pid).await.to_string();
    let send = |signal: &str| {
        let done = std::process::Command::new("kill").args([signal, &pid]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill {signal} {pid}");
    };
    send("-STOP");
    let wanted = until("the reading to fail", SOON, async || match signal.read().await {
        Err(error) => Ok(error),
        Ok(value) => Err(format!("{value} ms")),
    })
    .await;
    send("-CONT");
    assert!(wanted.0.contains("no answer within 5 ms"), "{wanted}");
    until("a value again", SOON, async || signal.read().await).await;
}
