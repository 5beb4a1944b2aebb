//! Looks at the file every second, and takes it up when it was replaced.
//!
//! A file is read again when its times, its length or its place on the disk are others. A write may fall into the
//! same tick of the file system's clock as the look before it, so a file that changed a moment ago is read again, too.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use requests::blocklist::BlockList;
use runtime::said::Said;
use runtime::supervise::describe_end;
use schemas::person::PersonKey;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{BlockListError, BlockListStatus, ListWatch, digest, read};

/// Between looks: a list is in force well within 5 s.
const LOOK: Duration = Duration::from_secs(1);

/// A file that is younger than this might be written again without its times showing it.
const TICK_S: i64 = 2;

/// What tells one state of a file from another; none: there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    length: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            place: (about.dev(), about.ino()),
            length: about.len(),
            changed: (about.ctime(), about.ctime_nsec()),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }

    fn look(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        now.as_second().saturating_sub(self.changed.0) > TICK_S
    }
}

/// Keeps the list as the file says.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    key: Arc<PersonKey>,
    list: watch::Sender<Arc<BlockList>>,
    status: watch::Sender<BlockListStatus>,
    /// The state that was read last; none: look again at once.
    seen: Option<Option<Stamp>>,
    said: Said,
}

impl Keeper {
    /// Reads the list for the first time. Blocks.
    ///
    /// # Errors
    /// [`BlockListError`]: nobody may start without the list that was configured.
    pub fn start(path: PathBuf, key: Arc<PersonKey>) -> Result<Self, BlockListError> {
        let stamp = Stamp::look(&path);
        let list = read(&path, &key)?;
        let now = Timestamp::now();
        let seen = stamp.filter(|stamp| stamp.is_settled(now)).map(Some);
        Ok(Self {
            status: watch::channel(shown(&list, now)).0,
            list: watch::channel(Arc::new(list)).0,
            said: Said::default(),
            path,
            key,
            seen,
        })
    }

    /// Who is on it, as it is now.
    #[must_use]
    pub fn list(&self) -> ListWatch {
        self.list.subscribe()
    }

    /// What is shown of it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<BlockListStatus> {
        self.status.subscribe()
    }

    /// Keeps it until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = stop.cancelled() => return, _ = looks.tick() => {} }
            let (path, key, seen) = (self.path.clone(), Arc::clone(&self.key), self.seen);
            let looking = tokio::task::spawn_blocking(move || look(&path, &key, seen));
            match looking.await {
                Ok(Some((seen, found))) => {
                    self.seen = seen;
                    self.take(found);
                }
                Ok(None) => {}
                Err(error) => tracing::error!(
                    error = describe_end(&error),
                    "a look at the block list ended early"
                ),
            }
        }
    }

    fn take(&mut self, found: Result<BlockList, BlockListError>) {
        match found {
            Ok(list) => {
                if self.said.over().is_some() {
                    tracing::info!("the block list can be read again");
                }
                // Rows are read again under another list, so the same one is no news.
                if **self.list.borrow() == list {
                    return;
                }
                let status = shown(&list, Timestamp::now());
                tracing::info!(persons = status.persons, made = %status.made, "a new block list is in force");
                self.list.send_replace(Arc::new(list));
                self.status.send_replace(status);
            }
            Err(error) => {
                let what = format!(
                    "{error}; until then no feed that names persons is read, and no request answered"
                );
                if self.said.is_news(&what) {
                    tracing::error!(error = what, "block list");
                }
                if self.status.borrow().trouble.as_ref() == Some(&what) {
                    return;
                }
                // Who was on the file that cannot be read nobody can tell: neither the list before nor an empty one will do.
                let unread = BlockList::clone(&self.list.borrow()).unread(what.clone());
                self.list.send_replace(Arc::new(unread));
                self.status.send_modify(|status| status.trouble = Some(what));
            }
        }
    }
}

type Look = (Option<Option<Stamp>>, Result<BlockList, BlockListError>);

/// One look; none: nothing changed.
fn look(path: &Path, key: &PersonKey, seen: Option<Option<Stamp>>) -> Option<Look> {
    // Before the file is read: what is written meanwhile shows at the next look.
    let stamp = Stamp::look(path);
    if seen == Some(stamp) {
        return None;
    }
    let now = Timestamp::now();
    let settled = stamp.is_none_or(|stamp| stamp.is_settled(now));
    Some((settled.then_some(stamp), read(path, key)))
}

fn shown(list: &BlockList, taken_at: Timestamp) -> BlockListStatus {
    BlockListStatus {
        persons: list.len(),
        made: list.made,
        digest: digest(list),
        taken_at,
        trouble: None,
    }
}
