//! The state of the connection, as agents show it.
//!
//! HTTP has no lasting connection, so the state is the result of the last request. While it failed, the gateway is asked with
//! back-off and jitter, so that the state changes also when nothing else is requested.

use std::sync::Weak;
use std::time::Duration;

use exchange::Connection;
use jiff::Timestamp;
use tokio::sync::watch;

use super::Inner;
use super::outcome::Reach;

/// The state, and whether the connections were closed.
#[derive(Debug)]
pub(crate) struct State {
    connection: watch::Sender<Connection>,
    closed: watch::Sender<bool>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            connection: watch::Sender::new(Connection::Disconnected {
                since: Timestamp::now(),
                refused: false,
                why: None,
            }),
            closed: watch::Sender::new(false),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Connection> {
        self.connection.subscribe()
    }

    /// Ends [`reconnect`].
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Records the result of a request. Each change is logged once.
    pub(crate) fn update(&self, reach: Reach) {
        match reach {
            Reach::Same => {}
            Reach::Up => self.connected(),
            Reach::Down { refused, why } => self.lost(refused, why),
        }
    }

    fn connected(&self) {
        self.connection.send_if_modified(|connection| match *connection {
            Connection::Connected => false,
            Connection::Disconnected { since, .. } => {
                *connection = Connection::Connected;
                let waited_ms = Timestamp::now().duration_since(since).as_millis();
                tracing::info!(waited_ms, "exchange connected");
                true
            }
        });
    }

    fn lost(&self, now_refused: bool, now_why: Option<&'static str>) {
        if *self.closed.borrow() {
            return;
        }
        self.connection.send_if_modified(|connection| {
            let since = match *connection {
                Connection::Disconnected { refused, why, .. } if (refused, why) == (now_refused, now_why) => {
                    return false;
                }
                Connection::Disconnected { since, .. } => since,
                Connection::Connected => {
                    tracing::warn!(
                        refused = now_refused,
                        why = now_why,
                        "exchange disconnected, trying again"
                    );
                    Timestamp::now()
                }
            };
            if now_refused {
                let why = now_why.unwrap_or("it does not know the token or certificate, or it has expired");
                tracing::error!(why, "exchange refuses the credential, trying again");
            }
            *connection = Connection::Disconnected {
                since,
                refused: now_refused,
                why: now_why,
            };
            true
        });
    }
}

/// Asks the gateway while it is disconnected, until the connections are closed or no longer used.
pub(crate) async fn reconnect(inner: Weak<Inner>, mut connection: watch::Receiver<Connection>) {
    let Some(mut closed) = inner.upgrade().map(|inner| inner.state.closed.subscribe()) else {
        return;
    };
    let mut attempts = 0;
    // A change before the subscription would not be seen.
    while !*closed.borrow() {
        let is_connected = matches!(*connection.borrow_and_update(), Connection::Connected);
        if is_connected {
            attempts = 0;
            tokio::select! {
                changed = connection.changed() => if changed.is_err() { return },
                _ = closed.changed() => return,
            }
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(delay(attempts, rand::random_range(0.5..1.5))) => {}
            // Closed, or no longer used.
            _ = closed.changed() => return,
        }
        attempts = attempts.saturating_add(1);
        let Some(inner) = inner.upgrade() else { return };
        // Its result is the state.
        let _ = inner.check().await;
    }
}

/// Returns the wait before an attempt: from 50 ms doubling to 4 s, times `jitter`, so that a fleet does not come back in one
/// moment.
fn delay(attempts: u32, jitter: f64) -> Duration {
    let longest = Duration::from_secs(4);
    Duration::from_millis(50 << attempts.min(7))
        .min(longest)
        .mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delay_grows_and_is_bounded() {
        assert_eq!(delay(0, 1.0), Duration::from_millis(50));
        assert_eq!(delay(2, 0.5), Duration::from_millis(100));
        assert_eq!(delay(u32::MAX, 1.0), Duration::from_secs(4));
    }

    #[test]
    fn state_changes_with_each_new_cause() {
        let state = State::new();
        let shown = state.subscribe();
        let refused = || match *shown.borrow() {
            Connection::Connected => None,
            Connection::Disconnected { refused, why, .. } => Some((refused, why)),
        };
        let down = |refused, why| state.update(Reach::Down { refused, why });
        assert_eq!(refused(), Some((false, None)));
        state.update(Reach::Up);
        assert_eq!(refused(), None);
        state.update(Reach::Same);
        assert_eq!(refused(), None);
        down(true, Some("expired"));
        assert_eq!(refused(), Some((true, Some("expired"))));
        down(false, None);
        assert_eq!(refused(), Some((false, None)), "it is away now");
        state.update(Reach::Up);
        state.close();
        down(false, None);
        assert_eq!(refused(), None, "what a closed one does is not reported");
    }
}
