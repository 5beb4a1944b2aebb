//! The whole path: processes of the release binary, with configuration files.
//!
//! Two durations are measured. `path` is from the first read to the last commit at the receiver, by the receiver's
//! ledger. `wall` starts before the first process, so it includes start-up, connecting, acquiring the lease and
//! checking the feed.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harness::{Db, Process};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::process::Machine;
use crate::rig::{self, Rig};
use crate::settings::{Feed, Transport};
use crate::{Outcome, process, rows, settings};

/// One run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Number of rows.
    pub(crate) rows: u64,
    /// Commercial processes.
    pub(crate) pollers: usize,
    /// How the agents reach the exchange: `nats` or `https`.
    pub(crate) transport: &'static str,
    /// From the first read to the last commit, in seconds.
    pub(crate) path_seconds: f64,
    /// From before the first process was started to the last commit, in seconds.
    pub(crate) wall_seconds: f64,
    /// Number of chunks.
    pub(crate) chunks: i64,
    /// Peak memory of our processes, in bytes, the maximum per kind.
    pub(crate) peak: Peak,
    /// CPU seconds by part.
    pub(crate) cpu: Cpu,
    /// CPU seconds of other work on this machine meanwhile. The results are too low by this much.
    pub(crate) others: f64,
    /// Idle CPU seconds.
    pub(crate) idle: f64,
}

/// Peak memory in bytes (`VmHWM`).
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Peak {
    /// `slacktide social`.
    pub(crate) social: u64,
    /// `slacktide commercial`; the maximum of several.
    pub(crate) commercial: u64,
    /// nats-server, since the start of the benchmark.
    pub(crate) exchange: u64,
}

/// CPU seconds of one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cpu {
    /// The core's PostgreSQL.
    pub(crate) core: f64,
    /// `slacktide social`.
    pub(crate) social: f64,
    /// nats-server.
    pub(crate) exchange: f64,
    /// The gateway; 0 without one.
    pub(crate) gateway: f64,
    /// All `slacktide commercial`.
    pub(crate) commercial: f64,
    /// The receiver's PostgreSQL.
    pub(crate) store: f64,
}

impl Cpu {
    /// Returns the total.
    pub(crate) fn sum(&self) -> f64 {
        self.core + self.social + self.exchange + self.gateway + self.commercial + self.store
    }
}

/// The timeout corresponds to this rate in rows per second.
const MIN_RATE: u64 = 2_000;

/// Copies the first `rows` rows into a fresh store.
///
/// # Errors
/// If a process ends, on a timeout, or if core and store differ at the end.
pub(crate) async fn run(
    rig: &Rig,
    binary: &Path,
    rows: u64,
    pollers: usize,
    (transport, round): (Transport, usize),
) -> Outcome<Run> {
    let name = format!("setl_{round}");
    let feed = Feed {
        name: &name,
        sql: rows::sql(rows),
        more: "",
    };
    let db = rig.sink.database("whole").await;
    let recipient = rig::recipient(round);
    let social = settings::social(rig, transport, &recipient, &feed)?;
    let commercial = settings::commercial(rig, transport, &recipient, &db.url)?;
    db.execute("CHECKPOINT").await;
    let run = measure(
        rig,
        binary,
        (&social, &commercial),
        &db,
        (rows, rows),
        pollers,
        transport,
    )
    .await?;
    compare(rig, &db, &name, rows).await?;
    Ok(run)
}

/// Runs the agents until the ledger counts `total` rows, of which `rows` are new.
///
/// # Errors
/// If a process ends, or on a timeout.
pub(crate) async fn measure(
    rig: &Rig,
    binary: &Path,
    (social, commercial): (&Path, &Path),
    db: &Db,
    (rows, total): (u64, u64),
    pollers: usize,
    transport: Transport,
) -> Outcome<Run> {
    let cpu_before = servers(rig)?;
    let machine_before = Machine::now()?;
    let began = Timestamp::now();
    let mut receiving: Vec<Process> = Vec::new();
    for number in 1..=pollers {
        let name = format!("commercial {number}");
        receiving.push(start(rig, binary, &name, "commercial", commercial));
    }
    let mut sending = start(rig, binary, "social", "social", social);
    let done = wait(db, total, &mut sending, &mut receiving).await?;

    let mut run = Run {
        rows,
        pollers,
        transport: match transport {
            Transport::Nats => "nats",
            Transport::Https => "https",
        },
        path_seconds: done.path_micros as f64 / 1e6,
        wall_seconds: done.last.duration_since(began).as_secs_f64(),
        chunks: done.chunks,
        peak: Peak {
            social: 0,
            commercial: 0,
            exchange: process::peak_memory(rig.exchange.pid())?,
        },
        cpu: Cpu {
            core: 0.0,
            social: 0.0,
            exchange: 0.0,
            gateway: 0.0,
            commercial: 0.0,
            store: 0.0,
        },
        others: 0.0,
        idle: 0.0,
    };
    run.peak.social = process::peak_memory(sending.pid())?;
    run.cpu.social = process::cpu_time(sending.pid())?.as_secs_f64();
    for process in &receiving {
        run.peak.commercial = run.peak.commercial.max(process::peak_memory(process.pid())?);
        run.cpu.commercial += process::cpu_time(process.pid())?.as_secs_f64();
    }
    sending.sigterm();
    receiving.iter_mut().for_each(Process::sigterm);
    sending.wait_exit(Duration::from_secs(30)).await;
    for process in &mut receiving {
        process.wait_exit(Duration::from_secs(30)).await;
    }
    let cpu = servers(rig)?;
    let [core, exchange, store, gateway] =
        std::array::from_fn(|part| (cpu[part] - cpu_before[part]).as_secs_f64());
    (run.cpu.core, run.cpu.exchange, run.cpu.store, run.cpu.gateway) = (core, exchange, store, gateway);
    let machine = Machine::now()?;
    let busy = (machine.busy - machine_before.busy).as_secs_f64();
    run.others = (busy - run.cpu.sum()).max(0.0);
    run.idle = (machine.idle - machine_before.idle).as_secs_f64();
    Ok(run)
}

fn start(rig: &Rig, binary: &Path, name: &str, agent: &str, settings: &Path) -> Process {
    let mut command = Command::new(binary);
    command
        .args([agent, "run", "--config"])
        .arg(settings)
        .current_dir(rig.folder());
    Process::spawn(name, &mut command)
}

/// Returns the CPU times of core, exchange, store and gateway.
///
/// # Errors
/// If one has ended.
pub(crate) fn servers(rig: &Rig) -> Outcome<[Duration; 4]> {
    let gateway = rig
        .gateway
        .as_ref()
        .map(|gateway| process::cpu_time(gateway.pid()));
    Ok([
        process::cpu_time(rig.core.pid())?,
        process::cpu_time(rig.exchange.pid())?,
        process::cpu_time(rig.sink.pid())?,
        gateway.transpose()?.unwrap_or_default(),
    ])
}

struct Done {
    chunks: i64,
    path_micros: i64,
    last: Timestamp,
}

/// Waits until the ledger contains all rows.
async fn wait(db: &Db, rows: u64, sending: &mut Process, receiving: &mut [Process]) -> Outcome<Done> {
    let client = db.connect().await;
    let deadline = Instant::now() + Duration::from_secs(30 + rows / MIN_RATE);
    let mut there = false;
    let mut stored = 0;
    loop {
        for process in std::iter::once(&mut *sending).chain(receiving.iter_mut()) {
            if let Some(status) = process.ended() {
                return Err(format!(
                    "a process ended with {status}:\n{}{}",
                    process.stdout(),
                    process.stderr()
                )
                .into());
            }
        }
        if !there {
            let asked = client
                .query_one("SELECT to_regclass('slacktide.ledger') IS NOT NULL", &[])
                .await?;
            there = asked.try_get(0)?;
        }
        if there {
            let row = client.query_one(LEDGER, &[]).await?;
            stored = row.try_get::<_, i64>(0)?;
            if u64::try_from(stored)? >= rows {
                return Ok(Done {
                    chunks: row.try_get(1)?,
                    path_micros: row.try_get(2)?,
                    last: Timestamp::from_microsecond(row.try_get(3)?)?,
                });
            }
        }
        if Instant::now() > deadline {
            let output = format!(
                "social: {}\ncommercial: {}",
                sending.stderr(),
                receiving[0].stderr()
            );
            return Err(format!("only {stored} of {rows} rows were stored in time\n{output}").into());
        }
        // A long interval, as the query's cost is part of the measurement.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Rows, chunks, microseconds from the first read to the last commit, and the time of the last commit.
const LEDGER: &str = "SELECT coalesce(sum(rows), 0)::bigint, count(*),
    coalesce(extract(epoch FROM max(stored_at::timestamptz) - min(read_from::timestamptz)) * 1000000, 0)::bigint,
    coalesce(extract(epoch FROM max(stored_at::timestamptz)) * 1000000, 0)::bigint
    FROM slacktide.ledger";

/// Compares the first rows of the core with a table of the receiver.
///
/// # Errors
/// If they differ.
pub(crate) async fn compare(rig: &Rig, db: &Db, feed: &str, rows: u64) -> Outcome<()> {
    const COLUMNS: &str = "SELECT count(*)::text || ' rows, ' || sum(medfee_sumamt) || ' in all, '
        || sum(hashtextextended(concat_ws('|', setl_id, updt_time AT TIME ZONE 'UTC', mdtrt_id, psn_no, fixmedins_name, dept_name,
            begndate, enddate, medfee_sumamt, hifp_pay, acct_pay, psn_cash_pay, dise_codg, dise_name, refd), 0)::numeric)";
    let core = rig
        .source
        .query(&format!("{COLUMNS} FROM ({}) AS feed", rows::sql(rows)))
        .await;
    let kept = db.query(&format!("{COLUMNS} FROM {feed}")).await;
    let text = |rows: &[tokio_postgres::Row]| rows.first().map(|row| row.try_get::<_, String>(0)).transpose();
    let (core, kept) = (text(&core)?, text(&kept)?);
    if core == kept {
        Ok(())
    } else {
        Err(format!("core and store differ: {core:?}, {kept:?}").into())
    }
}

impl Run {
    /// Returns the rows per second from the first read to the last commit.
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.path_seconds
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{:>9.0} rows/s ({:.2} s; {:.2} s with start-up), peak social {:.0} MB, commercial {:.0} MB, \
             CPU {:.1} s (core {:.1}, social {:.1}, exchange {:.1}, gateway {:.1}, commercial {:.1}, store {:.1}), other work {:.1} s, idle {:.1} s",
            self.rate(),
            self.path_seconds,
            self.wall_seconds,
            megabytes(self.peak.social),
            megabytes(self.peak.commercial),
            self.cpu.sum(),
            self.cpu.core,
            self.cpu.social,
            self.cpu.exchange,
            self.cpu.gateway,
            self.cpu.commercial,
            self.cpu.store,
            self.others,
            self.idle,
        )
    }
}
