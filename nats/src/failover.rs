//! PURE: decides when a connection moves to another server of its cluster.
//!
//! A server that is frozen, or cut off from the other servers, keeps its clients connected. A frozen one answers nothing; one
//! that is cut off answers reads from its own copy, and reaches no leader. So a connection moves when its server has answered
//! nothing for some seconds, or when no leader has answered for some seconds although one was asked.

use std::time::Duration;

use tokio::time::Instant;

/// How often a request that waits checks whether its server is of use.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a server may answer nothing.
const SILENT_FOR: Duration = Duration::from_secs(5);

/// How long leaders may be out of reach; an election takes 4 to 9 s.
const LEADERLESS_FOR: Duration = Duration::from_secs(8);

/// The time between two moves: doubled after each that did not help, because no server may reach a leader now.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of the server that a connection uses.
#[derive(Debug)]
pub(crate) struct Failover {
    /// Since when requests wait for the first answer after them, and when the last of them was sent.
    silent: Option<(Instant, Instant)>,
    /// The same for requests that only a leader answers.
    leaderless: Option<(Instant, Instant)>,
    moved: Option<Instant>,
    pause: Duration,
}

impl Failover {
    pub(crate) fn new() -> Self {
        Self {
            silent: None,
            leaderless: None,
            moved: None,
            pause: FIRST_PAUSE,
        }
    }

    /// A request is sent.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.silent = Some(waiting(self.silent, now, SILENT_FOR));
    }

    /// The server answered, with anything.
    pub(crate) fn answered(&mut self) {
        self.silent = None;
    }

    /// A leader answered.
    pub(crate) fn led(&mut self) {
        (self.leaderless, self.pause) = (None, FIRST_PAUSE);
    }

    /// A request that only a leader answers is sent.
    pub(crate) fn asked_leader(&mut self, now: Instant) {
        self.leaderless = Some(waiting(self.leaderless, now, LEADERLESS_FOR));
    }

    /// There is another connection.
    pub(crate) fn connected(&mut self) {
        (self.silent, self.leaderless) = (None, None);
    }

    /// Returns whether to move now; a move is then counted as made.
    pub(crate) fn must_move(&mut self, now: Instant) -> bool {
        let lasts = |waiting: Option<(Instant, Instant)>, limit| {
            waiting.is_some_and(|(since, _)| now >= since + limit)
        };
        let is_due = lasts(self.silent, SILENT_FOR) || lasts(self.leaderless, LEADERLESS_FOR);
        if !is_due || self.moved.is_some_and(|moved| now < moved + self.pause) {
            return false;
        }
        if self.moved.is_some() {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.moved = Some(now);
        self.connected();
        true
    }
}

/// The wait with another request. One that was given up long before proves nothing: the wait begins again.
fn waiting(before: Option<(Instant, Instant)>, now: Instant, limit: Duration) -> (Instant, Instant) {
    match before {
        Some((since, last)) if now < last + limit => (since, now),
        _ => (now, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64, begun: Instant) -> Instant {
        begun + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn failover_leaves_a_server_that_answers_nothing() {
        let (mut failover, begun) = (Failover::new(), Instant::now());
        failover.asked(begun);
        failover.asked(after(4, begun));
        assert!(!failover.must_move(after(4, begun)));
        assert!(failover.must_move(after(5, begun)));
        assert!(
            !failover.must_move(after(5, begun)),
            "the new server is given time"
        );
        failover.asked(after(6, begun));
        failover.answered();
        assert!(!failover.must_move(after(60, begun)));
    }

    #[tokio::test]
    async fn failover_ignores_a_request_that_was_given_up() {
        let (mut failover, begun) = (Failover::new(), Instant::now());
        failover.asked(begun);
        failover.asked_leader(begun);
        failover.asked(after(60, begun));
        failover.asked_leader(after(60, begun));
        assert!(!failover.must_move(after(60, begun)));
    }

    #[tokio::test]
    async fn failover_leaves_a_server_without_a_leader_ever_slower() {
        let (mut failover, begun) = (Failover::new(), Instant::now());
        let mut moves = Vec::new();
        for second in 0..100 {
            failover.asked(after(second, begun));
            // It answers reads from its own copy.
            failover.answered();
            failover.asked_leader(after(second, begun));
            if failover.must_move(after(second, begun)) {
                moves.push(second);
            }
        }
        assert_eq!(moves, [8, 18, 38, 78]);
        failover.led();
        assert!(!failover.must_move(after(500, begun)));
    }
}
