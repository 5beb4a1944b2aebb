//! The tools, and the result of one of them.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::Outcome;
use crate::process::{self, Machine};
use crate::rig::Rig;
use crate::whole::{self, Run};

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    /// `psql COPY … TO STDOUT | psql COPY … FROM STDIN`.
    Copy,
    /// PostgreSQL's logical replication.
    Logical,
    /// Slacktide, over NATS.
    Nats,
    /// Slacktide, over TLS through a gateway.
    Https,
}

impl Peer {
    /// Returns the name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Logical => "logical",
            Self::Nats => "slacktide",
            Self::Https => "slacktide, TLS",
        }
    }
}

/// One result. Durations are in seconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measurement {
    /// The tool.
    pub(crate) peer: Peer,
    /// Number of copied rows or of changes.
    pub(crate) rows: u64,
    /// From the tool's start to the last visible row.
    pub(crate) seconds: f64,
    /// CPU time on the core's host: its PostgreSQL, and the tool's part there.
    pub(crate) core_host: f64,
    /// CPU time of all processes.
    pub(crate) cpu: f64,
    /// CPU time by process.
    pub(crate) parts: Vec<(&'static str, f64)>,
    /// CPU time of other work on this machine meanwhile.
    pub(crate) others: f64,
}

impl Measurement {
    /// Returns the result of a run of the agents.
    pub(crate) fn of_run(peer: Peer, run: &Run) -> Self {
        let cpu = &run.cpu;
        Self {
            peer,
            rows: run.rows,
            seconds: run.wall_seconds,
            core_host: cpu.core + cpu.social,
            cpu: cpu.sum(),
            parts: vec![
                ("core", cpu.core),
                ("social", cpu.social),
                ("exchange", cpu.exchange),
                ("gateway", cpu.gateway),
                ("commercial", cpu.commercial),
                ("store", cpu.store),
            ],
            others: run.others,
        }
    }

    /// Returns the rows per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds.max(1e-9)
    }

    /// Returns CPU seconds as those of a million rows.
    pub(crate) fn per_million(&self, seconds: f64) -> f64 {
        seconds * 1e6 / self.rows as f64
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = (self.parts.iter())
            .map(|(name, seconds)| format!("{name} {:.2}", self.per_million(*seconds)))
            .collect();
        write!(
            f,
            "{:<15}{:>9.0} rows/s; CPU seconds a million rows {:.2}, on the core's host {:.2} ({}); other work {:.1} s",
            self.peer.name(),
            self.rate(),
            self.per_million(self.cpu),
            self.per_million(self.core_host),
            parts.join(", "),
            self.others,
        )
    }
}

/// Measures a tool other than Slacktide.
pub(crate) struct Meter {
    servers: [Duration; 4],
    ended: Duration,
    machine: Machine,
    began: Instant,
}

impl Meter {
    /// Begins.
    ///
    /// # Errors
    /// If the kernel does not report a process.
    pub(crate) fn start(rig: &Rig) -> Outcome<Self> {
        Ok(Self {
            servers: whole::servers(rig)?,
            ended: process::ended_children()?,
            machine: Machine::now()?,
            began: Instant::now(),
        })
    }

    /// Ends. The tool's own processes have ended; half of their work is on the core's host.
    ///
    /// # Errors
    /// If the kernel does not report a process.
    pub(crate) fn stop(self, rig: &Rig, peer: Peer, rows: u64) -> Outcome<Measurement> {
        let seconds = self.began.elapsed().as_secs_f64();
        let servers = whole::servers(rig)?;
        let [core, _, store, _] =
            std::array::from_fn(|part| (servers[part] - self.servers[part]).as_secs_f64());
        let tool = (process::ended_children()? - self.ended).as_secs_f64();
        let busy = (Machine::now()?.busy - self.machine.busy).as_secs_f64();
        let cpu = core + store + tool;
        Ok(Measurement {
            peer,
            rows,
            seconds,
            core_host: core + tool / 2.0,
            cpu,
            parts: vec![("core", core), ("tool", tool), ("store", store)],
            others: (busy - cpu).max(0.0),
        })
    }
}
