//! Polls the file every second, and reads it when it was replaced.
//!
//! A file is read again when its times, its length or its inode differ. A write may fall into the same tick of the file system's
//! clock as the previous poll, so a file that changed a moment ago is read again too.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disclosure::blocklist::BlockList;
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use runtime::supervise::describe_end;
use schemas::person::PersonKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{BlockListError, BlockListStatus, ListWatch, digest, read};

/// Between ticks: a list is in force well within 5 s.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A younger file, in seconds, may be written again without a change of its times.
const CLOCK_TICK_S: i64 = 2;

/// Distinguishes the states of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    place: (u64, u64),
    length: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl FileStamp {
    fn of(about: &Metadata) -> Self {
        Self {
            place: (about.dev(), about.ino()),
            length: about.len(),
            changed: (about.ctime(), about.ctime_nsec()),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        now.as_second().saturating_sub(self.changed.0) > CLOCK_TICK_S
    }
}

/// Keeps the list current with the file.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    key: Arc<PersonKey>,
    list: watch::Sender<Arc<BlockList>>,
    status: watch::Sender<BlockListStatus>,
    /// The state that was read last; `None` to read again at the next poll.
    seen: Option<Option<FileStamp>>,
    log_dedup: LogDedup,
}

impl Keeper {
    /// Reads the list for the first time. Blocks.
    ///
    /// # Errors
    /// [`BlockListError`]: the agent must not start without the configured list.
    pub fn start(path: PathBuf, key: Arc<PersonKey>) -> Result<Self, BlockListError> {
        let stamp = FileStamp::read(&path);
        let list = read(&path, &key)?;
        let now = Timestamp::now();
        let seen = stamp.filter(|stamp| stamp.is_settled(now)).map(Some);
        Ok(Self {
            status: watch::channel(status_of(&list, now)).0,
            list: watch::channel(Arc::new(list)).0,
            log_dedup: LogDedup::default(),
            path,
            key,
            seen,
        })
    }

    /// Returns the current list.
    #[must_use]
    pub fn list(&self) -> ListWatch {
        self.list.subscribe()
    }

    /// Returns its status.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BlockListStatus> {
        self.status.subscribe()
    }

    /// Keeps it current until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = ticks.tick() => {} }
            let (path, key, seen) = (self.path.clone(), Arc::clone(&self.key), self.seen);
            let polling = tokio::task::spawn_blocking(move || poll(&path, &key, seen));
            match polling.await {
                Ok(Some((seen, found))) => {
                    self.seen = seen;
                    self.apply(found);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(error = describe_end(&error), "polling the block list failed"),
            }
        }
    }

    fn apply(&mut self, found: Result<BlockList, BlockListError>) {
        match found {
            Ok(list) => {
                if self.log_dedup.recovered().is_some() {
                    tracing::info!("block list is readable again");
                }
                // A new list causes rows to be read again, so an equal list is ignored.
                if **self.list.borrow() == list {
                    return;
                }
                let status = status_of(&list, Timestamp::now());
                tracing::info!(persons = status.persons, made = %status.made, "new block list in force");
                self.list.send_replace(Arc::new(list));
                self.status.send_replace(status);
            }
            Err(error) => {
                let what = format!(
                    "{error}; until then no feed that names persons is read, and no request is answered"
                );
                if self.log_dedup.is_new(&what) {
                    tracing::error!(error = what, "block list is unreadable");
                }
                if self.status.borrow().error.as_ref() == Some(&what) {
                    return;
                }
                // The content of the unreadable file is unknown, so neither the previous list nor an empty one is safe.
                let unread = BlockList::clone(&self.list.borrow()).unreadable(what.clone());
                self.list.send_replace(Arc::new(unread));
                self.status.send_modify(|status| status.error = Some(what));
            }
        }
    }
}

type PollResult = (Option<Option<FileStamp>>, Result<BlockList, BlockListError>);

/// Polls the file once; `None` if it did not change.
fn poll(path: &Path, key: &PersonKey, seen: Option<Option<FileStamp>>) -> Option<PollResult> {
    // Before the read, so that a write in the meantime is seen by the next poll.
    let stamp = FileStamp::read(path);
    if seen == Some(stamp) {
        return None;
    }
    let now = Timestamp::now();
    let settled = stamp.is_none_or(|stamp| stamp.is_settled(now));
    Some((settled.then_some(stamp), read(path, key)))
}

fn status_of(list: &BlockList, taken_at: Timestamp) -> BlockListStatus {
    BlockListStatus {
        persons: list.len(),
        made: list.made,
        digest: digest(list),
        taken_at,
        error: None,
    }
}
