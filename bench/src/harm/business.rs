//! The business: pgbench at a fixed rate, in its own session like a real client.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Outcome;
use crate::latency::{self, Transaction};
use crate::plan::Load;
use crate::rig::Rig;
use crate::worker::now_us;

const CLIENTS: &str = "6";

/// Duration of a burst, and of the quiet period after it, in seconds.
pub(crate) const BURST: u64 = 10;

fn command(rig: &Rig, seconds: u64) -> Command {
    let mut command = Command::new("setsid");
    command.arg(&rig.pgbench);
    command.args(["-n", "-M", "prepared", "-j", "1", "-c", CLIENTS, "-T"]);
    command.arg(seconds.to_string());
    command.kill_on_drop(true);
    command
}

/// Returns the maximum rate without a growing queue, in transactions per second.
///
/// Without a rate limit the clients wait for each other and the processors never sleep, which costs less than an open
/// queue: at 85 % of that rate the machine is overloaded. So lower rates are tried until the latencies stay low.
pub(crate) async fn highest(rig: &Rig) -> Outcome<f64> {
    unlimited(rig).await?;
    let max_rate = unlimited(rig).await?;
    for percent in (40..=95).rev().step_by(5) {
        let tried = Business::start(rig, "try", Load::Steady(percent), max_rate, ATTEMPT_SECONDS + 1)?;
        let from = now_us() + 1_000_000;
        let transactions = tried.ended().await?;
        let service = latency::service(&transactions, &[(from, from + ATTEMPT_SECONDS * 1_000_000)]);
        if service.second_p99 < SERVED_US {
            return Ok(max_rate * f64::from(percent) / 100.0);
        }
    }
    Err("this machine is too busy with other work to determine the maximum rate".into())
}

/// Duration of one attempt, in seconds.
const ATTEMPT_SECONDS: u64 = 4;

/// A typical second with a lower p99, in microseconds, has no growing queue.
const SERVED_US: u64 = 5_000;

async fn unlimited(rig: &Rig) -> Outcome<f64> {
    let ran = command(rig, 6).arg(&rig.core.url).output().await?;
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    text.lines()
        .find_map(|line| {
            line.strip_prefix("tps = ")?
                .split_ascii_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| {
            format!(
                "no rate in the output of pgbench:\n{text}{}",
                String::from_utf8_lossy(&ran.stderr)
            )
            .into()
        })
}

/// The running business, until it is dropped or its time ends.
pub(crate) struct Business {
    task: tokio::task::JoinHandle<Outcome<()>>,
    prefix: PathBuf,
}

impl Business {
    /// Starts pgbench.
    pub(crate) fn start(rig: &Rig, name: &str, load: Load, max_rate: f64, seconds: u64) -> Outcome<Self> {
        let prefix = rig.folder().join(format!("pgbench-{name}"));
        let share = match load {
            Load::Steady(percent) => f64::from(percent) / 100.0,
            Load::Burst => 0.9,
        };
        let rate = format!("{:.0}", (max_rate * share).max(1.0));
        let spawn = |rig: &Rig, at: u64, seconds: u64| -> Outcome<Child> {
            let mut command = command(rig, seconds);
            command.args(["--rate", &rate, "--log", "--log-prefix"]);
            command
                .arg(format!("{}-{at}", prefix.display()))
                .arg(&rig.core.url);
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            Ok(command.spawn()?)
        };
        let task = match load {
            Load::Steady(_) => {
                let mut child = spawn(rig, 0, seconds)?;
                tokio::spawn(async move {
                    child.wait().await?;
                    Ok(())
                })
            }
            Load::Burst => {
                let mut children = (0..seconds / (2 * BURST))
                    .map(|_| command(rig, BURST))
                    .collect::<Vec<_>>();
                for (at, command) in children.iter_mut().enumerate() {
                    command.args(["--rate", &rate, "--log", "--log-prefix"]);
                    command
                        .arg(format!("{}-{at}", prefix.display()))
                        .arg(&rig.core.url);
                    command
                        .stdout(std::process::Stdio::null())
                        .stderr(std::process::Stdio::null());
                }
                tokio::spawn(async move {
                    let mut tick = tokio::time::interval(Duration::from_secs(2 * BURST));
                    for mut command in children {
                        tick.tick().await;
                        command.spawn()?.wait().await?;
                    }
                    Ok(())
                })
            }
        };
        Ok(Self { task, prefix })
    }

    /// Waits for the end and returns all transactions.
    pub(crate) async fn ended(self) -> Outcome<Vec<Transaction>> {
        self.task.await??;
        let folder = self.prefix.parent().ok_or("the log has no folder")?;
        let name = self
            .prefix
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or("the log has no name")?;
        let mut transactions = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let is_ours = path
                .file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}-")));
            if is_ours {
                transactions.extend(std::fs::read_to_string(&path)?.lines().filter_map(latency::line));
                std::fs::remove_file(&path)?;
            }
        }
        if transactions.is_empty() {
            return Err("the business logged no transaction".into());
        }
        Ok(transactions)
    }
}
