//! The kernel's help, kept up while the agent runs: asks the helper for each new backend, looks
//! for itself whether all are where they should be, and tells the gate which regime is in force.
//!
//! It is `Kernel` only while this process and every backend of ours are seen in the idle group;
//! everything else is `Bare`, with the reason. A backend is new for one look at most before that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gate::{Gate, Regime};
use priority::client::{AskError, ask, is_in, not_idle};
use priority::process::Proc;
use priority::protocol::{Place, Request};
use runtime::backoff::Backoff;
use source::Source;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// As often as the gate is told which backends are ours.
const EACH: Duration = Duration::from_millis(100);
const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Keeps the gate told, until the token is cancelled. Without a helper there is nothing to keep.
pub(crate) fn keep(
    gate: Gate,
    source: Arc<dyn Source>,
    helper: Option<PathBuf>,
    served_by_backends: bool,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Some(socket) = helper else {
            gate.regime(Regime::default());
            return;
        };
        let mut help = Help::new(socket, served_by_backends);
        let mut tick = tokio::time::interval(EACH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let backends = source.own_backends();
            let regime = tokio::select! {
                regime = help.look(&backends) => regime,
                () = stop.cancelled() => return,
            };
            if last.as_ref() != Some(&regime) {
                match &regime {
                    Regime::Kernel { detail } => tracing::info!(%detail, "the kernel puts our work behind"),
                    Regime::Bare { why } => tracing::warn!(%why, "without the kernel's help"),
                }
                gate.regime(regime.clone());
                last = Some(regime);
            }
        }
    })
}

struct Help {
    socket: PathBuf,
    served_by_backends: bool,
    proc: Proc,
    place: Option<Place>,
    backends: Vec<u32>,
    failures: u32,
    again: Instant,
    why: String,
}

impl Help {
    fn new(socket: PathBuf, served_by_backends: bool) -> Self {
        Self {
            socket,
            served_by_backends,
            proc: Proc::default(),
            place: None,
            backends: Vec::new(),
            failures: 0,
            again: Instant::now(),
            why: "the helper was not asked yet".to_owned(),
        }
    }

    /// The regime in force now. Asks for what is not in the group, unless it was refused just now.
    async fn look(&mut self, backends: &[u32]) -> Regime {
        if self.backends != backends {
            // Another connection: what was refused for the last says nothing about this one.
            self.backends = backends.to_vec();
            self.failures = 0;
            self.again = Instant::now();
        }
        let outside = self.outside();
        if !outside.is_empty() || self.place.as_ref().is_none_or(|place| not_idle(place).is_some()) {
            if Instant::now() < self.again {
                return bare(&self.why);
            }
            if let Err(why) = self.ask_for(&outside).await {
                self.failures = self.failures.saturating_add(1);
                self.again = Instant::now() + BACKOFF.delay(self.failures, 1.0);
                self.why = why;
                return bare(&self.why);
            }
        }
        self.failures = 0;
        if self.served_by_backends && backends.is_empty() {
            return bare(
                "no backend of ours is known on this host: not connected yet, or the url does not lead to 127.0.0.1",
            );
        }
        let path = self.place.as_ref().map_or("", |place| place.path.as_str());
        Regime::Kernel {
            detail: if self.served_by_backends {
                format!("this process and backend {backends:?} are in {path}, which is idle").into()
            } else {
                format!("this process is in {path}, which is idle").into()
            },
        }
    }

    /// Of this process and its backends, those that are not seen in the group.
    fn outside(&self) -> Vec<u32> {
        let all = std::iter::once(std::process::id()).chain(self.backends.iter().copied());
        let inside = |pid: u32| {
            let place = self.place.as_ref();
            place.is_some_and(|place| is_in(&self.proc, place, pid))
        };
        all.filter(|pid| !inside(*pid)).collect()
    }

    /// Asks, and looks at what became of it.
    async fn ask_for(&mut self, outside: &[u32]) -> Result<(), String> {
        let me = std::process::id();
        // Asking for ourselves also has the group set anew.
        let own = std::iter::once(me);
        let others = outside.iter().copied().filter(|pid| *pid != me);
        for pid in own.chain(others) {
            let request = if pid == me {
                Request::Own
            } else {
                Request::Backend { pid }
            };
            let place = ask(&self.socket, request)
                .await
                .map_err(|error: AskError| error.to_string())?;
            if !is_in(&self.proc, &place, pid) {
                return Err(format!(
                    "the helper moved process {pid} to {}, and it is not seen there; run agent and helper in one namespace",
                    place.path
                ));
            }
            self.place = Some(place);
        }
        match self.place.as_ref().and_then(not_idle) {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }
}

fn bare(why: &str) -> Regime {
    Regime::Bare { why: why.into() }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixListener;

    use priority::cgroup::{Hierarchy, Level};
    use priority::protocol::{Reply, write};

    use super::*;

    fn told(regime: &Regime) -> String {
        match regime {
            Regime::Bare { why } => why.to_string(),
            Regime::Kernel { detail } => format!("kernel: {detail}"),
        }
    }

    /// A helper that says yes and names the group in which this process already is.
    struct Yes {
        folder: tempfile::TempDir,
        place: Place,
    }

    impl Yes {
        fn new() -> Result<Self, Box<dyn std::error::Error>> {
            let folder = tempfile::tempdir()?;
            let hierarchy = Hierarchy::of_host()?;
            let own = Proc::default().cgroup(std::process::id())?;
            let idle_file = folder.path().join("cpu.idle");
            std::fs::write(&idle_file, "1\n")?;
            let place = Place {
                controller: hierarchy.controller().to_owned(),
                path: hierarchy.membership(&own).ok_or("in no group")?.to_owned(),
                idle_file,
                level: Level::Idle,
            };
            let listener = UnixListener::bind(folder.path().join("s"))?;
            let answer = place.clone();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let mut line = [0; 512];
                    let _ = stream.read(&mut line).await;
                    let _ = write(&mut stream, &Reply::Done(answer.clone())).await;
                }
            });
            Ok(Self { folder, place })
        }

        fn help(&self, served_by_backends: bool) -> Help {
            Help::new(self.folder.path().join("s"), served_by_backends)
        }
    }

    #[tokio::test]
    async fn kernel_is_said_only_of_what_is_seen() -> Result<(), Box<dyn std::error::Error>> {
        let yes = Yes::new()?;
        let mut sqlite = yes.help(false);
        assert!(sqlite.look(&[]).await.is_kernel());
        let mut help = yes.help(true);
        assert!(told(&help.look(&[]).await).contains("no backend of ours"));
        // The helper says yes to anything; what does not exist is nowhere.
        assert!(told(&help.look(&[u32::MAX]).await).contains("it is not seen there"));
        assert!(help.look(&[std::process::id()]).await.is_kernel());
        // Trap: check the effect, not the setting.
        std::fs::write(&yes.place.idle_file, "0\n")?;
        assert!(told(&help.look(&[std::process::id()]).await).contains("no longer reads 1"));
        Ok(())
    }

    #[tokio::test]
    async fn a_helper_that_is_gone_is_asked_again_later_and_not_at_each_look()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut help = Help::new(folder.path().join("s"), true);
        let first = help.look(&[7]).await;
        assert!(told(&first).contains("does not answer"), "{}", told(&first));
        assert!(help.failures == 1 && help.again > Instant::now());
        // However long the next looks take on a busy machine.
        help.again += Duration::from_secs(3_600);
        // The same words, so that they are logged once; and no second try yet.
        assert_eq!(help.look(&[7]).await, first);
        assert_eq!(help.failures, 1);
        // Another backend is asked for at once.
        help.look(&[8]).await;
        assert_eq!(help.failures, 1);
        Ok(())
    }
}
