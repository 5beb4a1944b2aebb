//! What the binary gives the console.
//!
//! - [`machine`] what the gateway knows about itself

pub mod machine;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Extensions;
use exchange::Exchange;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use tokio_util::sync::CancellationToken;

/// What a party is at the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyRole {
    /// Sends chunks and answers requests.
    Bureau,
    /// Receives chunks and files requests.
    Recipient,
    /// Reads everything.
    Auditor,
}

impl PartyRole {
    /// The name in keys of texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bureau => "bureau",
            Self::Recipient => "recipient",
            Self::Auditor => "auditor",
        }
    }
}

/// What a person may do in the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConsoleRole {
    /// Sees the pages.
    Viewer,
    /// Also prepares commands.
    Operator,
}

impl ConsoleRole {
    /// The name in keys of texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

/// A credential that a session was opened with, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The id of a bearer token.
    Token(String),
    /// The client certificate of a party. Every request of the session must present one of the same party.
    Certificate(PartyName),
}

/// Who a credential belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The credential.
    pub credential: Credential,
    /// The party.
    pub party: PartyName,
    /// What the person may do; `None`: the credential is valid and does not open the console.
    pub role: Option<ConsoleRole>,
    /// When the credential expires.
    pub expires_at: Timestamp,
}

/// How people are authenticated: the gateway's tokens and client certificates.
pub trait Authentication: Send + Sync {
    /// Returns the identity of a bearer token, or `None` if it is unknown, revoked or expired.
    fn by_token(&self, bearer: &str, now: Timestamp) -> Option<Identity>;

    /// Returns the identity of the client certificate of the connection, by the extensions of a request.
    fn by_certificate(&self, extensions: &Extensions, now: Timestamp) -> Option<Identity>;

    /// Returns the identity of a token by its id as it is now; `None` once it is revoked or expired.
    fn token(&self, id: &str, now: Timestamp) -> Option<Identity>;

    /// Notes that the connection of a request belongs to an authenticated session.
    fn note_authenticated(&self, extensions: &Extensions);

    /// Returns the address of the client.
    fn peer(&self, extensions: &Extensions) -> Option<IpAddr>;
}

/// A party, and the exchange as its own credential opens it.
#[derive(Clone)]
pub struct Party {
    /// Its role.
    pub role: PartyRole,
    /// The exchange, with the party's credential.
    pub exchange: Arc<dyn Exchange>,
}

/// The limits of the console.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A session ends after this time without a request. An open page of a viewer counts as one.
    pub idle: Duration,
    /// A session ends after this time.
    pub absolute: Duration,
    /// Sessions at once; the one that was unused for the longest time ends for a new one.
    pub sessions: usize,
    /// Open streams of one session.
    pub streams: usize,
    /// Failed and successful logins of one address in a minute.
    pub logins_per_minute: u32,
    /// Requests of one session in a second, over time; three times as many at once.
    pub requests_per_second: u32,
    /// The interval of a stream.
    pub interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(12 * 3_600),
            sessions: 256,
            streams: 6,
            logins_per_minute: 10,
            requests_per_second: 20,
            interval: Duration::from_secs(1),
        }
    }
}

/// Everything that the console needs.
#[derive(Clone)]
pub struct Site {
    /// The parties that the gateway serves.
    pub parties: BTreeMap<PartyName, Party>,
    /// The signing keys of each party's agents and operators; without a key nothing is shown as verified.
    pub trust: BTreeMap<PartyName, Vec<PublicKey>>,
    /// The party whose agent signs chunks.
    pub bureau: PartyName,
    /// How people are authenticated.
    pub authentication: Arc<dyn Authentication>,
    /// Whether the console is served with TLS; cookies are then sent over TLS only.
    pub is_secure: bool,
    /// The time zone in which times are shown.
    pub zone: TimeZone,
    /// The version of the product.
    pub version: &'static str,
    /// The clock.
    pub clock: fn() -> Timestamp,
    /// The gateway itself: tokens, certificate, settings; `None` shows them as unknown.
    pub machine: Option<Arc<dyn machine::Machine>>,
    /// The limits.
    pub limits: Limits,
    /// Cancelled when the gateway stops; streams end then.
    pub stop: CancellationToken,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site")
            .field("parties", &self.parties.keys())
            .field("is_secure", &self.is_secure)
            .finish_non_exhaustive()
    }
}
