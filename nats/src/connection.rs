//! The state of the connection, and the server's asynchronous events.
//!
//! The client reports these through one callback. A denial is such an event and not an answer, so it is forwarded to the
//! task that waits for an answer on that subject.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{ClientError, Event, ReconnectToServer, Server, ServerAddr, ServerError};
use exchange::Connection;
use exchange::trust::Fault;
use jiff::Timestamp;
use tokio::sync::{broadcast, watch};

use crate::failover::Failover;

/// A subject that the credential may not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denial {
    /// It may not publish there.
    Publish(String),
    /// It may not listen there.
    Subscription(String),
}

impl Denial {
    /// Reads the server's error text: `Permissions Violation for Publish to "SUBJECT"`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("Permissions Violation for ")?;
        let subject = rest.split('"').nth(1)?.to_owned();
        if rest.starts_with("Publish") {
            Some(Self::Publish(subject))
        } else if rest.starts_with("Subscription") {
            Some(Self::Subscription(subject))
        } else {
            None
        }
    }

    /// Returns the denied subject if it concerns a request to `subject` with answers under `inbox`.
    pub(crate) fn concerns(&self, subject: &str, inbox: &str) -> Option<&str> {
        match self {
            Self::Publish(denied) => (denied == subject).then_some(denied),
            Self::Subscription(denied) => denied.starts_with(inbox).then_some(denied),
        }
    }
}

/// The events, for waiting tasks.
#[derive(Debug)]
pub(crate) struct Signals {
    state: watch::Sender<Connection>,
    denials: broadcast::Sender<Denial>,
    /// A denied inbox is reported once, when the client subscribes; later requests would time out.
    deaf: Mutex<Option<Denial>>,
    closed: watch::Sender<bool>,
    failover: Mutex<Failover>,
    /// Whether the next connection is to another server, and the server of the last such move.
    moving: Mutex<(bool, Option<ServerAddr>)>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        let since = Timestamp::now();
        Self {
            state: watch::Sender::new(Connection::Disconnected {
                since,
                refused: false,
                why: None,
            }),
            denials: broadcast::Sender::new(256),
            deaf: Mutex::new(None),
            closed: watch::Sender::new(false),
            failover: Mutex::new(Failover::new()),
            moving: Mutex::new((false, None)),
        }
    }

    pub(crate) fn failover(&self) -> MutexGuard<'_, Failover> {
        self.failover.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next connection one to another server.
    pub(crate) fn begin_move(&self) {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    /// Returns the server of the next connection if it must be another one; `None` leaves the choice to the client.
    pub(crate) fn next_server(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut moving.0, false) {
            return None;
        }
        moving.1 = other_server(servers, moving.1.as_ref());
        moving
            .1
            .clone()
            .map(|addr| ReconnectToServer { addr, delay: None })
    }

    pub(crate) fn state(&self) -> watch::Receiver<Connection> {
        self.state.subscribe()
    }

    pub(crate) fn denials(&self) -> broadcast::Receiver<Denial> {
        self.denials.subscribe()
    }

    pub(crate) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(crate) fn deaf(&self) -> Option<Denial> {
        self.deaf.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_deaf(&self, denial: Option<Denial>) {
        *self.deaf.lock().unwrap_or_else(PoisonError::into_inner) = denial;
    }

    /// Takes one event of the client. Each change of the connection is logged once, not each attempt.
    pub(crate) fn take(&self, event: &Event) {
        match event {
            Event::Connected => self.connected(),
            Event::Disconnected => self.lost(false, None),
            Event::ServerError(ServerError::AuthorizationViolation) => self.lost(true, None),
            Event::ClientError(ClientError::Other(text))
                if text.contains("authorization violation") || text.contains("failed signing nonce") =>
            {
                self.lost(true, None);
            }
            Event::ClientError(ClientError::Other(text)) => {
                if let Some(fault) = Fault::of(text) {
                    self.lost(true, Some(fault.describe()));
                }
            }
            Event::ServerError(ServerError::Other(text)) => {
                if let Some(denial) = Denial::parse(text) {
                    if matches!(denial, Denial::Subscription(_)) {
                        self.set_deaf(Some(denial.clone()));
                    }
                    // No task waits: the operation has already ended.
                    let _ = self.denials.send(denial);
                }
            }
            Event::Closed => {
                self.closed.send_replace(true);
            }
            _ => {}
        }
    }

    /// Records how the last attempt at each server failed, as the client's text. Its event has only
    /// "IO error" or "TLS error" after a reconnect, and this text has the cause. Several
    /// servers: only what is wrong with all of them keeps us out.
    pub(crate) fn attempted(&self, errors: &[Option<String>]) {
        let of = |error: &Option<String>| error.as_deref().and_then(Fault::of);
        let faults: Option<Vec<Fault>> = errors.iter().map(of).collect();
        match faults.as_deref().and_then(<[Fault]>::first) {
            Some(fault) => self.lost(true, Some(fault.describe())),
            None if errors.iter().any(Option::is_some) => self.no_fault(),
            None => {}
        }
    }

    /// What was wrong with a certificate is not what is wrong now.
    fn no_fault(&self) {
        self.state.send_if_modified(|state| match state {
            Connection::Disconnected { refused, why, .. } if why.is_some() => {
                (*refused, *why) = (false, None);
                true
            }
            _ => false,
        });
    }

    pub(crate) fn connected(&self) {
        self.failover().connected();
        self.set_deaf(None);
        let before = self.state.send_replace(Connection::Connected);
        if let Connection::Disconnected { since, .. } = before {
            let waited_ms = Timestamp::now().duration_since(since).as_millis();
            tracing::info!(waited_ms, "exchange connected");
        }
    }

    fn lost(&self, now_refused: bool, now_why: Option<&'static str>) {
        self.state.send_if_modified(|state| match state {
            Connection::Connected => {
                *state = Connection::Disconnected {
                    since: Timestamp::now(),
                    refused: now_refused,
                    why: now_why,
                };
                tracing::warn!(
                    refused = now_refused,
                    why = now_why,
                    "exchange disconnected, trying again"
                );
                true
            }
            // One fault may hide another: each is reported when it appears.
            Connection::Disconnected { refused, why, .. }
                if now_refused && (!*refused || *why != now_why) =>
            {
                (*refused, *why) = (true, now_why);
                let why = now_why.unwrap_or("it does not know the key, or the key is not this user's");
                tracing::error!(why, "exchange refuses the credential, trying again");
                true
            }
            Connection::Disconnected { .. } => false,
        });
    }
}

/// PURE: the server after this one. Without it, one that was not used so far: the first connection has no record.
fn other_server(servers: &[Server], last: Option<&ServerAddr>) -> Option<ServerAddr> {
    let unused = servers.iter().find(|server| !server.did_connect);
    let after_last = || {
        let index = servers.iter().position(|server| Some(&server.addr) == last);
        servers.get((index? + 1) % servers.len())
    };
    let next = unused.or_else(after_last).or(servers.first());
    next.map(|server| server.addr.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denial_is_matched_with_its_subject() {
        let denial = Denial::parse("Permissions Violation for Publish to \"data.a.b\"").unwrap();
        assert_eq!(denial.concerns("data.a.b", "_INBOX_x"), Some("data.a.b"));
        assert_eq!(denial.concerns("data.a", "_INBOX_x"), None);
        let inbox = Denial::parse("Permissions Violation for Subscription to \"_INBOX_x.ab.*\"").unwrap();
        assert_eq!(inbox.concerns("data.a.b", "_INBOX_x"), Some("_INBOX_x.ab.*"));
        assert_eq!(inbox.concerns("data.a.b", "_INBOX_y"), None);
        assert_eq!(Denial::parse("Authorization Violation"), None);
    }

    fn server(url: &str, did_connect: bool) -> Server {
        Server {
            addr: url.parse().unwrap(),
            failed_attempts: 0,
            did_connect,
            is_discovered: false,
            last_error: None,
        }
    }

    #[test]
    fn connection_moves_to_each_other_server_in_turn() {
        let signals = Signals::new();
        let mut servers: Vec<Server> = ["nats://a:1", "nats://b:1", "nats://c:1"]
            .iter()
            .map(|url| server(url, url.contains('b')))
            .collect();
        assert!(signals.next_server(&servers).is_none(), "no move was begun");
        let mut visited = Vec::new();
        for _ in 0..4 {
            signals.begin_move();
            let next = signals.next_server(&servers).unwrap().addr;
            for server in &mut servers {
                server.did_connect |= server.addr == next;
            }
            visited.push(next.host().to_owned());
        }
        assert_eq!(visited, ["a", "c", "a", "b"]);
    }

    #[test]
    fn connection_reports_an_expired_certificate_until_renewed() {
        let signals = Signals::new();
        let why = || match *signals.state().borrow() {
            Connection::Disconnected { why, .. } => why,
            Connection::Connected => None,
        };
        let failed = |text: &str| signals.take(&Event::ClientError(ClientError::Other(text.into())));
        failed("IO error: received fatal alert: CertificateExpired");
        assert!(why().is_some_and(|why| why.contains("our certificate has expired")));
        failed("IO error: received fatal alert: UnknownCA");
        assert!(why().is_some_and(|why| why.contains("not signed by an authority")));
        failed("IO error");
        assert!(why().is_some(), "an event without a cause changes nothing");
        let attempted = |errors: &[&str]| {
            let errors: Vec<_> = errors.iter().map(|text| Some((*text).to_owned())).collect();
            signals.attempted(&errors);
        };
        attempted(&["IO error: invalid peer certificate: Expired"]);
        assert!(why().is_some_and(|why| why.contains("its certificate has expired")));
        attempted(&["IO error: connection refused"]);
        assert_eq!(why(), None, "it is away now");
        attempted(&[
            "IO error: invalid peer certificate: Expired",
            "IO error: connection refused",
        ]);
        assert_eq!(why(), None, "another server may let us in");
        attempted(&["IO error: invalid peer certificate: Expired"]);
        signals.take(&Event::Connected);
        signals.take(&Event::Disconnected);
        assert_eq!(why(), None);
    }

    #[test]
    fn refused_credential_is_reported_until_accepted() {
        let signals = Signals::new();
        let state = signals.state();
        signals.take(&Event::ClientError(ClientError::Other(
            "authorization violation".into(),
        )));
        assert!(matches!(
            *state.borrow(),
            Connection::Disconnected { refused: true, .. }
        ));
        signals.take(&Event::Connected);
        assert_eq!(*state.borrow(), Connection::Connected);
    }
}
