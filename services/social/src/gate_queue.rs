//! Shares the gate between requests and feeds: requests first, and neither starves.
//!
//! While a request can be answered, it goes first; while feeds wait, a feed gets every `feed_share`-th turn
//! ([`GateQueue::new`]). Without requests, feeds are admitted concurrently. A turn is taken before the gate is asked and lasts
//! until the permit is dropped, so the waiter that gets the permit when the gate opens is the one whose turn it is.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Gate, Permit};
use tokio::sync::Notify;

/// The queue of requests and feeds before the gate. Clones share it.
#[derive(Debug, Clone)]
pub struct GateQueue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<QueueState>,
    changed: Notify,
}

/// A permit with its turn. Dropping it returns both.
#[derive(Debug)]
#[must_use = "work on the source is permitted while the permit lives"]
pub struct QueuedPermit {
    // The first field, so that the permit is returned before the turn.
    permit: Permit,
    _turn: Turn,
}

impl Deref for QueuedPermit {
    type Target = Permit;
    fn deref(&self) -> &Permit {
        &self.permit
    }
}

impl GateQueue {
    /// Creates a queue. While requests wait, one of `feed_share` turns is a feed's.
    #[must_use]
    pub fn new(feed_share: u32) -> Self {
        let state = QueueState {
            max_requests_in_a_row: feed_share.max(2) - 1,
            ..QueueState::default()
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            changed: Notify::new(),
        }))
    }

    /// Returns a feed's permit if it is the feed's turn and the gate admits it now.
    #[must_use]
    pub fn try_feed(&self, gate: &Gate) -> Option<QueuedPermit> {
        let waiting = Waiting::feed(self);
        let turn = waiting.take()?;
        gate.try_permit()
            .map(|permit| QueuedPermit { permit, _turn: turn })
    }

    /// Waits for a feed's turn, then for the gate. It can be cancelled by dropping it.
    pub async fn feed(&self, gate: &Gate) -> QueuedPermit {
        let waiting = Waiting::feed(self);
        self.wait(waiting, gate).await
    }

    /// Waits for the requests' turn, then for the gate. It can be cancelled by dropping it. Only one responder may call it, for
    /// one permit at a time.
    pub async fn request(&self, gate: &Gate) -> QueuedPermit {
        let waiting = Waiting::request(self);
        self.wait(waiting, gate).await
    }

    async fn wait(&self, waiting: Waiting, gate: &Gate) -> QueuedPermit {
        let turn = loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let Some(turn) = waiting.take() {
                break turn;
            }
            changed.await;
        };
        drop(waiting);
        QueuedPermit {
            permit: gate.permit().await,
            _turn: turn,
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // No code under the lock panics.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kind of waiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Requester {
    Request,
    Feed(u64),
}

/// A waiter in the queue. Dropping it leaves the queue.
struct Waiting {
    queue: GateQueue,
    requester: Requester,
}

impl Waiting {
    fn feed(queue: &GateQueue) -> Self {
        let requester = Requester::Feed(queue.lock().enqueue_feed());
        Self {
            queue: queue.clone(),
            requester,
        }
    }

    fn request(queue: &GateQueue) -> Self {
        queue.lock().has_waiting_request = true;
        Self {
            queue: queue.clone(),
            requester: Requester::Request,
        }
    }

    fn take(&self) -> Option<Turn> {
        let is_taken = self.queue.lock().try_start(self.requester);
        is_taken.then(|| Turn {
            queue: self.queue.clone(),
            requester: self.requester,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.queue.lock().leave(self.requester);
        self.queue.0.changed.notify_waiters();
    }
}

/// A turn, which ends when it is dropped.
#[derive(Debug)]
struct Turn {
    queue: GateQueue,
    requester: Requester,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.lock().end(self.requester);
        self.queue.0.changed.notify_waiters();
    }
}

/// PURE: decides which waiter is admitted.
#[derive(Debug, Default)]
struct QueueState {
    max_requests_in_a_row: u32,
    /// Whether a request waits for its turn.
    has_waiting_request: bool,
    /// Whether a request's turn is running.
    has_running_request: bool,
    /// The number of running turns of feeds.
    feeds: u32,
    /// The waiting feeds, in order.
    waiting_feeds: VecDeque<u64>,
    next: u64,
    /// The turns of requests since the last turn of a feed, while feeds waited.
    requests_in_a_row: u32,
}

impl QueueState {
    fn enqueue_feed(&mut self) -> u64 {
        self.next += 1;
        self.waiting_feeds.push_back(self.next);
        self.next
    }

    fn try_start(&mut self, requester: Requester) -> bool {
        let is_feed_due =
            self.requests_in_a_row >= self.max_requests_in_a_row && !self.waiting_feeds.is_empty();
        match requester {
            Requester::Request => {
                if self.has_running_request || self.feeds > 0 || is_feed_due {
                    return false;
                }
                self.requests_in_a_row = if self.waiting_feeds.is_empty() {
                    0
                } else {
                    self.requests_in_a_row + 1
                };
                (self.has_waiting_request, self.has_running_request) = (false, true);
            }
            Requester::Feed(ticket) => {
                let is_admitted = !self.has_running_request && (!self.has_waiting_request || is_feed_due);
                if !is_admitted || self.waiting_feeds.front() != Some(&ticket) {
                    return false;
                }
                self.waiting_feeds.pop_front();
                self.requests_in_a_row = 0;
                self.feeds += 1;
            }
        }
        true
    }

    fn leave(&mut self, requester: Requester) {
        match requester {
            Requester::Request => self.has_waiting_request = false,
            Requester::Feed(ticket) => self.waiting_feeds.retain(|waiting| *waiting != ticket),
        }
    }

    fn end(&mut self, requester: Requester) {
        match requester {
            Requester::Request => self.has_running_request = false,
            Requester::Feed(_) => self.feeds = self.feeds.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sequence of turns while requests and feeds always wait.
    fn queue(feed_share: u32, feeds: usize, count: usize) -> String {
        let mut state = QueueState {
            max_requests_in_a_row: feed_share.max(2) - 1,
            ..QueueState::default()
        };
        let mut tickets: Vec<u64> = (0..feeds).map(|_| state.enqueue_feed()).collect();
        let mut sequence = String::new();
        for _ in 0..count {
            state.has_waiting_request = true;
            if state.try_start(Requester::Request) {
                sequence.push('R');
                state.end(Requester::Request);
                continue;
            }
            let index = (0..feeds).find(|index| state.try_start(Requester::Feed(tickets[*index])));
            let index = index.expect("a feed is admitted");
            sequence.push_str(&index.to_string());
            state.end(Requester::Feed(tickets[index]));
            tickets[index] = state.enqueue_feed();
        }
        sequence
    }

    #[test]
    fn gate_queue_every_fourth_turn_is_a_feeds() {
        assert_eq!(queue(4, 2, 12), "RRR0RRR1RRR0");
        assert_eq!(queue(2, 1, 4), "R0R0");
        assert_eq!(queue(0, 1, 4), "R0R0");
        assert_eq!(queue(4, 0, 3), "RRR");
    }

    #[test]
    fn gate_queue_without_requests_admits_feeds_concurrently() {
        let mut state = QueueState::default();
        let (a, b) = (state.enqueue_feed(), state.enqueue_feed());
        assert!(!state.try_start(Requester::Feed(b)), "the first one first");
        assert!(state.try_start(Requester::Feed(a)) && state.try_start(Requester::Feed(b)));
        state.has_waiting_request = true;
        assert!(
            !state.try_start(Requester::Request),
            "a running turn is not interrupted"
        );
        state.end(Requester::Feed(a));
        state.end(Requester::Feed(b));
        assert!(state.try_start(Requester::Request));
    }

    #[tokio::test]
    async fn gate_queue_cancelled_waiter_blocks_no_one() {
        let queue = GateQueue::new(4);
        let (gate, script) = Gate::scripted();
        script.close("busy");
        {
            let mut request = std::pin::pin!(queue.request(&gate));
            assert!(futures_util::poll!(request.as_mut()).is_pending());
            let mut feed = std::pin::pin!(queue.feed(&gate));
            assert!(futures_util::poll!(feed.as_mut()).is_pending());
        }
        script.open();
        let feed = queue.feed(&gate).await;
        assert!(queue.try_feed(&gate).is_some());
        drop(feed);
        let request = queue.request(&gate).await;
        assert!(queue.try_feed(&gate).is_none());
        drop(request);
        assert!(queue.try_feed(&gate).is_some());
    }

    /// Requests and feeds have endless work: the shares hold, and both feeds get their share.
    #[tokio::test]
    async fn gate_queue_endless_work_starves_neither_kind() {
        let (queue, gate) = (GateQueue::new(4), Gate::fixed_open());
        let counts: [Arc<std::sync::atomic::AtomicUsize>; 2] = Default::default();
        let feeds = counts.clone().map(|count| {
            let (queue, gate) = (queue.clone(), gate.clone());
            tokio::spawn(async move {
                loop {
                    let permit = queue.feed(&gate).await;
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            })
        });
        for _ in 0..300 {
            let permit = queue.request(&gate).await;
            tokio::task::yield_now().await;
            drop(permit);
            // Between two turns, other waiters are admitted if it is their turn.
            tokio::task::yield_now().await;
        }
        feeds.iter().for_each(tokio::task::JoinHandle::abort);
        let [one, two] = counts.map(|count| count.load(std::sync::atomic::Ordering::SeqCst));
        assert!(one >= 40 && two >= 40, "{one} and {two} of 300");
    }
}
