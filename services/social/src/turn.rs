//! Whose turn it is at the gate: requests before feeds, and neither starves.
//!
//! One gate serves both. While a request can be answered, it goes first; of every few turns one is a
//! feed's as long as feeds wait ([`Turns::new`]). Without requests feeds go at will, beside each other, as if this
//! were not here. A turn is taken before the gate is asked and lasts until the permit is given back, so
//! that whoever waits for a gate that opens is the one whose turn it is.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate::{Gate, Permit};
use tokio::sync::Notify;

/// Where requests and feeds take turns. Clones are the same.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    order: Mutex<Order>,
    changed: Notify,
}

/// A permit with the turn that it was taken in. Given back by dropping it.
#[derive(Debug)]
#[must_use = "work on the source is permitted while the permit lives"]
pub struct Turned {
    // First, so that the permit is back before the next one's turn.
    permit: Permit,
    _turn: Turn,
}

impl Deref for Turned {
    type Target = Permit;
    fn deref(&self) -> &Permit {
        &self.permit
    }
}

impl Turns {
    /// While requests wait, one turn of `feed_share` is a feed's.
    #[must_use]
    pub fn new(feed_share: u32) -> Self {
        let order = Order {
            most_run: feed_share.max(2) - 1,
            ..Order::default()
        };
        Self(Arc::new(Inner {
            order: Mutex::new(order),
            changed: Notify::new(),
        }))
    }

    /// A feed's permit, if it is its turn and the gate lets it through now.
    #[must_use]
    pub fn try_feed(&self, gate: &Gate) -> Option<Turned> {
        let waiting = Waiting::feed(self);
        let turn = waiting.take()?;
        gate.try_permit().map(|permit| Turned { permit, _turn: turn })
    }

    /// Waits for a feed's turn, then for the gate. Dropping it while it waits leaves nothing behind.
    pub async fn feed(&self, gate: &Gate) -> Turned {
        let waiting = Waiting::feed(self);
        self.wait(waiting, gate).await
    }

    /// Waits for the requests' turn, then for the gate. Dropping it while it waits leaves nothing behind.
    /// There is one answering executor; it asks for one permit at a time.
    pub async fn request(&self, gate: &Gate) -> Turned {
        let waiting = Waiting::request(self);
        self.wait(waiting, gate).await
    }

    async fn wait(&self, waiting: Waiting, gate: &Gate) -> Turned {
        let turn = loop {
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let Some(turn) = waiting.take() {
                break turn;
            }
            changed.await;
        };
        drop(waiting);
        Turned {
            permit: gate.permit().await,
            _turn: turn,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Order> {
        // Nothing under the lock panics.
        self.0.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Request,
    Feed(u64),
}

/// A place in the line, left by dropping it.
struct Waiting {
    turns: Turns,
    who: Who,
}

impl Waiting {
    fn feed(turns: &Turns) -> Self {
        let who = Who::Feed(turns.lock().line_up());
        Self {
            turns: turns.clone(),
            who,
        }
    }

    fn request(turns: &Turns) -> Self {
        turns.lock().wants = true;
        Self {
            turns: turns.clone(),
            who: Who::Request,
        }
    }

    fn take(&self) -> Option<Turn> {
        let is_taken = self.turns.lock().take(self.who);
        is_taken.then(|| Turn {
            turns: self.turns.clone(),
            who: self.who,
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.turns.lock().leave_line(self.who);
        self.turns.0.changed.notify_waiters();
    }
}

/// A turn, over when it is dropped.
#[derive(Debug)]
struct Turn {
    turns: Turns,
    who: Who,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().end(self.who);
        self.turns.0.changed.notify_waiters();
    }
}

/// PURE: who may go.
#[derive(Debug, Default)]
struct Order {
    most_run: u32,
    /// A request waits for its turn.
    wants: bool,
    /// A request's turn is on.
    has: bool,
    /// Feeds' turns that are on.
    feeds: u32,
    /// Feeds that wait, the first one in front.
    line: VecDeque<u64>,
    next: u64,
    /// Turns of requests since a feed had one, while feeds waited.
    run: u32,
}

impl Order {
    fn line_up(&mut self) -> u64 {
        self.next += 1;
        self.line.push_back(self.next);
        self.next
    }

    fn take(&mut self, who: Who) -> bool {
        let is_owed = self.run >= self.most_run && !self.line.is_empty();
        match who {
            Who::Request => {
                if self.has || self.feeds > 0 || is_owed {
                    return false;
                }
                self.run = if self.line.is_empty() { 0 } else { self.run + 1 };
                (self.wants, self.has) = (false, true);
            }
            Who::Feed(ticket) => {
                let may = !self.has && (!self.wants || is_owed);
                if !may || self.line.front() != Some(&ticket) {
                    return false;
                }
                self.line.pop_front();
                self.run = 0;
                self.feeds += 1;
            }
        }
        true
    }

    fn leave_line(&mut self, who: Who) {
        match who {
            Who::Request => self.wants = false,
            Who::Feed(ticket) => self.line.retain(|waiting| *waiting != ticket),
        }
    }

    fn end(&mut self, who: Who) {
        match who {
            Who::Request => self.has = false,
            Who::Feed(_) => self.feeds = self.feeds.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who goes, one turn at a time, while both always want to.
    fn turns(feed_share: u32, feeds: usize, count: usize) -> String {
        let mut order = Order {
            most_run: feed_share.max(2) - 1,
            ..Order::default()
        };
        let mut tickets: Vec<u64> = (0..feeds).map(|_| order.line_up()).collect();
        let mut told = String::new();
        for _ in 0..count {
            order.wants = true;
            if order.take(Who::Request) {
                told.push('R');
                order.end(Who::Request);
                continue;
            }
            let place = (0..feeds).find(|place| order.take(Who::Feed(tickets[*place])));
            let place = place.expect("somebody may go");
            told.push_str(&place.to_string());
            order.end(Who::Feed(tickets[place]));
            tickets[place] = order.line_up();
        }
        told
    }

    #[test]
    fn requests_go_first_and_every_fourth_turn_is_a_feeds_in_their_order() {
        assert_eq!(turns(4, 2, 12), "RRR0RRR1RRR0");
        assert_eq!(turns(2, 1, 4), "R0R0");
        assert_eq!(turns(0, 1, 4), "R0R0");
        assert_eq!(turns(4, 0, 3), "RRR");
    }

    #[test]
    fn without_requests_feeds_go_beside_each_other() {
        let mut order = Order::default();
        let (a, b) = (order.line_up(), order.line_up());
        assert!(!order.take(Who::Feed(b)), "the first one first");
        assert!(order.take(Who::Feed(a)) && order.take(Who::Feed(b)));
        order.wants = true;
        assert!(!order.take(Who::Request), "a turn that is on is not disturbed");
        order.end(Who::Feed(a));
        order.end(Who::Feed(b));
        assert!(order.take(Who::Request));
    }

    #[tokio::test]
    async fn who_gives_up_waiting_keeps_nobody_waiting() {
        let turns = Turns::new(4);
        let (gate, script) = Gate::scripted();
        script.shut("busy");
        {
            let mut request = std::pin::pin!(turns.request(&gate));
            assert!(futures_util::poll!(request.as_mut()).is_pending());
            let mut feed = std::pin::pin!(turns.feed(&gate));
            assert!(futures_util::poll!(feed.as_mut()).is_pending());
        }
        script.open();
        let feed = turns.feed(&gate).await;
        assert!(turns.try_feed(&gate).is_some());
        drop(feed);
        let request = turns.request(&gate).await;
        assert!(turns.try_feed(&gate).is_none());
        drop(request);
        assert!(turns.try_feed(&gate).is_some());
    }

    /// Both flows at once, each with work without end: the shares hold, and both feeds get theirs.
    #[tokio::test]
    async fn neither_flow_starves_when_both_have_work_without_end() {
        let (turns, gate) = (Turns::new(4), Gate::fixed_open());
        let counts: [Arc<std::sync::atomic::AtomicUsize>; 2] = Default::default();
        let feeds = counts.clone().map(|count| {
            let (turns, gate) = (turns.clone(), gate.clone());
            tokio::spawn(async move {
                loop {
                    let permit = turns.feed(&gate).await;
                    count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    drop(permit);
                }
            })
        });
        for _ in 0..300 {
            let permit = turns.request(&gate).await;
            tokio::task::yield_now().await;
            drop(permit);
            // Between two turns the answer before is settled, and others come first if they may.
            tokio::task::yield_now().await;
        }
        feeds.iter().for_each(tokio::task::JoinHandle::abort);
        let [one, two] = counts.map(|count| count.load(std::sync::atomic::Ordering::SeqCst));
        assert!(one >= 40 && two >= 40, "{one} and {two} beside 300");
    }
}
