//! The business: pgbench at a fixed rate, in a session of its own, as a real client is.

use std::path::PathBuf;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::Outcome;
use crate::latency::{self, Transaction};
use crate::plan::Load;
use crate::rig::Rig;
use crate::worker::now_us;

const CLIENTS: &str = "6";

/// Seconds of a burst, and of the quiet after it.
pub(crate) const BURST: u64 = 10;

fn command(rig: &Rig, seconds: u64) -> Command {
    let mut command = Command::new("setsid");
    command.arg(&rig.pgbench);
    command.args(["-n", "-M", "prepared", "-j", "1", "-c", CLIENTS, "-T"]);
    command.arg(seconds.to_string());
    command.kill_on_drop(true);
    command
}

/// The highest rate that the machine serves without a growing line, in transactions a second.
///
/// Without a limit the clients wait for each other and the processors never sleep, which is
/// cheaper than any open line of customers: at 85 % of that rate the machine is overloaded. So
/// rates are tried from there downwards until the latencies stay low.
pub(crate) async fn highest(rig: &Rig) -> Outcome<f64> {
    unlimited(rig).await?;
    let most = unlimited(rig).await?;
    for percent in (40..=95).rev().step_by(5) {
        let tried = Business::start(rig, "try", Load::Steady(percent), most, TRY + 1)?;
        let from = now_us() + 1_000_000;
        let transactions = tried.ended().await?;
        let service = latency::service(&transactions, &[(from, from + TRY * 1_000_000)]);
        if service.second_p99 < SERVED_US {
            return Ok(most * f64::from(percent) / 100.0);
        }
    }
    Err("the machine is too busy with other things to find out what it can serve".into())
}

/// Seconds of one try.
const TRY: u64 = 4;

/// A typical second with a p99 below this has no growing line, in microseconds.
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
                "pgbench did not tell its rate:\n{text}{}",
                String::from_utf8_lossy(&ran.stderr)
            )
            .into()
        })
}

/// The business at work, until it is dropped or its time is over.
pub(crate) struct Business {
    task: tokio::task::JoinHandle<Outcome<()>>,
    prefix: PathBuf,
}

impl Business {
    /// Begins.
    pub(crate) fn start(rig: &Rig, name: &str, load: Load, most: f64, seconds: u64) -> Outcome<Self> {
        let prefix = rig.folder().join(format!("pgbench-{name}"));
        let share = match load {
            Load::Steady(percent) => f64::from(percent) / 100.0,
            Load::Burst => 0.9,
        };
        let rate = format!("{:.0}", (most * share).max(1.0));
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

    /// Waits for its end and gives every transaction.
    pub(crate) async fn ended(self) -> Outcome<Vec<Transaction>> {
        self.task.await??;
        let folder = self.prefix.parent().ok_or("a log has a folder")?;
        let name = self
            .prefix
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.ok_or("a log has a name")?;
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
