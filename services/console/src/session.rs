//! PURE: sessions, in memory only. A restart ends all of them.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use schemas::name::PartyName;
use sha2::{Digest as _, Sha256};

use crate::site::{Credential, Identity, Limits};

/// A secret of 256 random bits, in hex.
#[must_use]
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The party that the person belongs to.
    pub party: PartyName,
    /// What it was opened with.
    pub credential: Credential,
    /// The secret that the tokens of forms derive from.
    pub form_secret: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The last request.
    pub used_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// Open streams.
    pub streams: usize,
}

/// The sessions by the digest of their id, so that a dump of the memory holds no cookie.
#[derive(Debug, Default)]
pub struct Sessions {
    by_digest: HashMap<[u8; 32], Session>,
}

/// The digest that a session is stored under.
#[must_use]
pub fn digest(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

fn plus(now: Timestamp, span: std::time::Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

impl Sessions {
    /// Opens a session and returns its id, the value of the cookie.
    pub fn open(&mut self, identity: &Identity, limits: &Limits, now: Timestamp) -> String {
        self.by_digest.retain(|_, session| is_open(session, limits, now));
        while self.by_digest.len() >= limits.sessions.max(1) {
            let oldest = self.by_digest.iter().min_by_key(|(_, session)| session.used_at);
            let Some(oldest) = oldest.map(|(digest, _)| *digest) else {
                break;
            };
            self.by_digest.remove(&oldest);
        }
        let id = new_secret();
        let session = Session {
            party: identity.party.clone(),
            credential: identity.credential.clone(),
            form_secret: new_secret(),
            opened_at: now,
            used_at: now,
            ends_at: plus(now, limits.absolute).min(identity.expires_at),
            streams: 0,
        };
        self.by_digest.insert(digest(&id), session);
        id
    }

    /// Returns an open session, and notes its use if this is one; an ended session is removed.
    pub fn enter(
        &mut self,
        key: &[u8; 32],
        limits: &Limits,
        now: Timestamp,
        is_use: bool,
    ) -> Option<Session> {
        let session = self.by_digest.get_mut(key)?;
        if !is_open(session, limits, now) {
            self.by_digest.remove(key);
            return None;
        }
        if is_use {
            session.used_at = session.used_at.max(now);
        }
        Some(session.clone())
    }

    /// Ends a session.
    pub fn close(&mut self, key: &[u8; 32]) {
        self.by_digest.remove(key);
    }

    /// Takes one of the streams of a session; false if it has as many as it may.
    pub fn take_stream(&mut self, key: &[u8; 32], limits: &Limits) -> bool {
        match self.by_digest.get_mut(key) {
            Some(session) if session.streams < limits.streams => {
                session.streams += 1;
                true
            }
            _ => false,
        }
    }

    /// Returns a stream that has ended.
    pub fn return_stream(&mut self, key: &[u8; 32]) {
        if let Some(session) = self.by_digest.get_mut(key) {
            session.streams = session.streams.saturating_sub(1);
        }
    }
}

fn is_open(session: &Session, limits: &Limits, now: Timestamp) -> bool {
    now < session.ends_at && now < plus(session.used_at, limits.idle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn identity(expires_at: i64) -> Identity {
        Identity {
            credential: Credential::Token("7f3a9c01".to_owned()),
            party: PartyName::new("bureau").unwrap(),
            role: None,
            expires_at: at(expires_at),
        }
    }

    fn limits() -> Limits {
        Limits {
            idle: Duration::from_secs(100),
            absolute: Duration::from_secs(250),
            sessions: 2,
            streams: 1,
            ..Limits::default()
        }
    }

    #[test]
    fn session_ends_when_idle_too_old_or_its_credential_expires() {
        let mut sessions = Sessions::default();
        let key = digest(&sessions.open(&identity(9_999), &limits(), at(0)));
        assert!(sessions.enter(&key, &limits(), at(99), true).is_some());
        assert!(
            sessions.enter(&key, &limits(), at(198), true).is_some(),
            "used at 99"
        );
        assert!(sessions.enter(&key, &limits(), at(249), true).is_some());
        assert!(
            sessions.enter(&key, &limits(), at(250), true).is_none(),
            "too old"
        );
        let key = digest(&sessions.open(&identity(9_999), &limits(), at(0)));
        assert!(sessions.enter(&key, &limits(), at(100), true).is_none(), "idle");
        let key = digest(&sessions.open(&identity(50), &limits(), at(0)));
        assert!(sessions.enter(&key, &limits(), at(49), true).is_some());
        assert!(
            sessions.enter(&key, &limits(), at(50), true).is_none(),
            "credential expired"
        );
    }

    #[test]
    fn session_ids_differ_and_are_long() {
        let mut sessions = Sessions::default();
        let one = sessions.open(&identity(9_999), &limits(), at(0));
        let other = sessions.open(&identity(9_999), &limits(), at(0));
        assert_ne!(one, other);
        assert_eq!(one.len(), 64);
        assert!(
            sessions
                .enter(&digest(&one[..63]), &limits(), at(1), true)
                .is_none()
        );
    }

    #[test]
    fn session_limit_ends_the_one_unused_for_longest() {
        let mut sessions = Sessions::default();
        let first = digest(&sessions.open(&identity(9_999), &limits(), at(0)));
        let second = digest(&sessions.open(&identity(9_999), &limits(), at(1)));
        sessions.enter(&first, &limits(), at(2), true);
        let third = digest(&sessions.open(&identity(9_999), &limits(), at(3)));
        assert!(sessions.enter(&second, &limits(), at(4), true).is_none());
        assert!(sessions.enter(&first, &limits(), at(4), true).is_some());
        assert!(sessions.enter(&third, &limits(), at(4), true).is_some());
    }

    #[test]
    fn session_streams_are_bounded() {
        let mut sessions = Sessions::default();
        let key = digest(&sessions.open(&identity(9_999), &limits(), at(0)));
        assert!(sessions.take_stream(&key, &limits()));
        assert!(!sessions.take_stream(&key, &limits()));
        sessions.return_stream(&key);
        assert!(sessions.take_stream(&key, &limits()));
        sessions.close(&key);
        assert!(!sessions.take_stream(&key, &limits()));
    }
}
