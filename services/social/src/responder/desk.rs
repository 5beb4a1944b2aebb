//! One term of the lease: what is known, what is being read, what is being stored.
//!
//! One loop, in which exactly one thing is read at a time and several are stored: while the parts of one answer are
//! on their way, the next quantum is read. A look at the streams, a wait for the gate and the end of a
//! storing are raced; nothing waits for the gate that need not.

mod ask;
mod kinds;
mod look;
mod next;
mod read;
mod settle;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use requests::blocklist::BlockList;
use requests::forecast::Costs;
use requests::queue::{Key, Queue};
use runtime::said::Said;
use runtime::supervise::describe_end;
use schemas::reply::Reply;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::ResponderParts;
use super::answer::{About, Answer, Signer};
use super::book::{Book, Trusted};
use super::clock::ExchangeClock;
use super::follow::Follow;
use super::lists::Lists;
use super::post::{Post, Posted};
use super::tally::RequestsStatus;
use super::telling::Told;
use crate::hold::HoldWatch;
use crate::turn::Turned;
use kinds::KindChecks;

/// Answers and outcomes that are being stored at the same time.
const MOST_POSTS: usize = 16;

/// All of one term.
pub struct Desk {
    parts: Arc<ResponderParts>,
    post: Arc<Post>,
    clock: ExchangeClock,
    holds: HoldWatch,
    blocked: watch::Receiver<Arc<BlockList>>,
    lists: Arc<Lists>,
    book: Book,
    follow: Follow,
    is_read: bool,
    queue: Queue,
    /// Answers that are begun and not being stored now.
    answers: BTreeMap<Key, Answer>,
    /// Rows of answers that are begun and have no outcome yet.
    in_flight: BTreeMap<Key, u64>,
    finals: VecDeque<(About, Reply)>,
    posts: JoinSet<Done>,
    tells: JoinSet<(Key, Option<Told>)>,
    /// When time alone may change a decision, by the exchange's clock.
    looks: BTreeSet<(Timestamp, Key)>,
    resting: BTreeSet<(Instant, Key)>,
    /// The source does not answer: not before this moment, after so many failures.
    source_rests: Option<Instant>,
    source_failures: u32,
    placed_at: Option<Instant>,
    kinds_due: KindChecks,
    costs: Costs,
    said: Said,
    troubles: Troubles,
}

/// What failed last, until the same succeeds, or is not wanted any more.
#[derive(Debug, Default)]
struct Troubles {
    /// Reading the streams of requests.
    streams: Option<String>,
    /// Reading the source.
    source: Option<String>,
    /// By request: its last attempt.
    attempts: BTreeMap<Key, String>,
    /// By kind: why it does not fit the source.
    kinds: BTreeMap<String, String>,
}

impl Troubles {
    fn first(&self) -> Option<&String> {
        let attempt = self.attempts.values().next();
        let kind = self.kinds.values().next();
        self.streams
            .as_ref()
            .or(self.source.as_ref())
            .or(attempt)
            .or(kind)
    }
}

/// What a posting came to.
struct Done {
    key: Key,
    answer: Option<Box<Answer>>,
    posted: Posted,
}

impl Desk {
    /// An empty one.
    #[must_use]
    pub fn new(parts: Arc<ResponderParts>, costs: Costs) -> Self {
        let clock = ExchangeClock::default();
        let (holds, blocked) = (parts.holds.clone(), parts.answering.blocked.clone());
        let lists = Lists::new(
            Arc::clone(&parts.answering.kinds),
            Arc::clone(&blocked.borrow()),
            &holds.borrow(),
            Arc::clone(&parts.persons),
            1,
        );
        let post = Post {
            exchange: Arc::clone(&parts.exchange),
            lease: parts.lease.clone(),
            clock: clock.clone(),
            options: parts.answering.options,
        };
        let kinds_due = KindChecks::of(parts.answering.kinds.iter().map(requests::kind::Kind::name));
        Self {
            kinds_due,
            book: Book::new(trusted(&parts)),
            parts,
            post: Arc::new(post),
            clock,
            holds,
            blocked,
            lists: Arc::new(lists),
            follow: Follow::default(),
            is_read: false,
            queue: Queue::default(),
            answers: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            finals: VecDeque::new(),
            posts: JoinSet::new(),
            tells: JoinSet::new(),
            looks: BTreeSet::new(),
            resting: BTreeSet::new(),
            source_rests: None,
            source_failures: 0,
            placed_at: None,
            costs,
            said: Said::default(),
            troubles: Troubles::default(),
        }
    }

    /// Answers until `stop`, then waits until what is being stored is stored; or until the term of the lease has ended.
    pub async fn serve(&mut self, stop: &CancellationToken) {
        let (gate, turns) = (self.parts.gate.clone(), self.parts.turns.clone());
        let mut tick = tokio::time::interval(
            self.parts
                .answering
                .options
                .interval
                .max(Duration::from_millis(1)),
        );
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Kept over everything else that happens: whoever asks the gate anew waits anew.
        let mut asking: Option<BoxFuture<'static, Turned>> = None;
        loop {
            tokio::task::coop::consume_budget().await;
            self.refresh();
            self.wake();
            self.dispatch();
            let candidate = self.candidate();
            let kind = match candidate {
                None => self.due_kind(),
                Some(_) => None,
            };
            if candidate.is_none() && kind.is_none() {
                asking = None;
            } else if asking.is_none() {
                let (turns, gate) = (turns.clone(), gate.clone());
                asking = Some(Box::pin(async move { turns.request(&gate).await }));
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => self.look().await,
                Some(done) = self.posts.join_next() => match done {
                    Ok(done) => self.settle(done),
                    Err(error) => {
                        tracing::error!(error = describe_end(&error), "storing an answer ended early; reading the streams anew");
                        return;
                    }
                },
                Some(told) = self.tells.join_next() => self.told(told.ok()),
                // Their ends may be gone; then they never change.
                Ok(()) = self.holds.changed() => {}
                Ok(()) = self.blocked.changed() => {}
                () = until(wake) => {}
                permit = permitted(&mut asking) => {
                    asking = None;
                    // Without a wait in between, another permit would follow at once, and for ever.
                    if self.parts.lease.term().is_none() {
                        return;
                    }
                    match (candidate, kind) {
                        (Some(key), _) => self.quantum(&key, permit).await,
                        (None, Some(kind)) => self.check_kind(&kind, permit).await,
                        (None, None) => {}
                    }
                }
            }
        }
        drop(asking);
        self.state("ending");
        self.dispatch();
        while let Some(done) = self.posts.join_next().await {
            if let Ok(done) = done {
                self.settle(done);
            }
            self.dispatch();
        }
    }

    /// What was learned of costs.
    #[must_use]
    pub fn into_costs(self) -> Costs {
        self.costs
    }

    /// The rules as they are now.
    fn refresh(&mut self) {
        let is_new = self.holds.has_changed().unwrap_or(false) || self.blocked.has_changed().unwrap_or(false);
        let same_list = self.lists.is_of(&self.blocked.borrow(), &self.holds.borrow());
        if !is_new && same_list {
            return;
        }
        let lists = Lists::new(
            Arc::clone(&self.parts.answering.kinds),
            Arc::clone(&self.blocked.borrow_and_update()),
            &self.holds.borrow_and_update(),
            Arc::clone(&self.parts.persons),
            self.lists.version + 1,
        );
        self.lists = Arc::new(lists);
        let all: Vec<Key> = self.book.iter().map(|(key, _)| key.clone()).collect();
        for key in &all {
            self.judge(key);
        }
    }

    /// Requests that have rested long enough.
    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((at, _)) = self.resting.first()
            && *at <= now
        {
            let Some((_, key)) = self.resting.pop_first() else {
                break;
            };
            if let Some(standing) = self.book.standing(&key) {
                standing.rests_until = None;
            }
            self.judge(&key);
        }
        if self.source_rests.is_some_and(|until| until <= now) {
            self.source_rests = None;
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let first = self.resting.first().map(|(at, _)| *at);
        // What is due already waits for the source, or for the gate.
        let kind = self.kinds_due.next().filter(|at| *at > Instant::now());
        [first, self.source_rests, kind].into_iter().flatten().min()
    }

    /// The exchange's time.
    fn now(&self) -> Option<Timestamp> {
        self.clock.now(Instant::now())
    }

    fn signer(&self, key: &Key) -> Signer {
        Signer {
            instance: self.parts.instance.clone(),
            key: Arc::clone(&self.parts.key),
            to: self.parts.sealing.recipients.get(&key.recipient).cloned(),
        }
    }

    fn show(&self, change: impl FnOnce(&mut RequestsStatus)) {
        self.parts.board.requests(change);
    }

    fn state(&self, text: &str) {
        self.show(|status| {
            if status.state != text {
                text.clone_into(&mut status.state);
            }
        });
    }

    /// Something failed that is tried again; `note` puts it where its success removes it.
    fn trouble(&mut self, what: &str, note: impl FnOnce(&mut Troubles)) {
        if self.said.is_news(what) {
            tracing::warn!(error = what, "answering; tried again and again");
        }
        note(&mut self.troubles);
        self.show_troubles();
    }

    /// Something is well again, or not wanted any more.
    fn well(&mut self, note: impl FnOnce(&mut Troubles)) {
        note(&mut self.troubles);
        if self.troubles.first().is_none()
            && let Some(met) = self.said.over()
        {
            tracing::info!(met, "answering: the trouble is over");
        }
        self.show_troubles();
    }

    /// What the status shows: the first of what is not over.
    fn show_troubles(&self) {
        let first = self.troubles.first();
        self.show(|status| {
            if status.last_error.as_ref() != first {
                status.last_error = first.cloned();
            }
        });
    }
}

fn trusted(parts: &ResponderParts) -> Trusted {
    Trusted {
        requests: parts.answering.trusted_requests.clone(),
        here: parts.origin.clone(),
        officers: parts.answering.officers.clone(),
    }
}

async fn permitted(asking: &mut Option<BoxFuture<'static, Turned>>) -> Turned {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
