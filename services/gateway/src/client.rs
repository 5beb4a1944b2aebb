//! The client of a connection, as an extension of its requests, and what mounted pages learn of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Extensions;
use jiff::Timestamp;
use schemas::name::PartyName;

use crate::authentication::Certificate;

/// The client of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its address.
    pub(crate) peer: Option<Peer>,
    /// Its certificate.
    pub(crate) certificate: Option<Certificate>,
}

/// The address of the client of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Whether a request of a connection was authenticated. A connection without one is closed soon, so that callers without a
/// credential cannot take all connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionUse(Arc<AtomicBool>);

impl ConnectionUse {
    /// Notes an authenticated request.
    pub(crate) fn note_authenticated(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether one was.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns the party of the connection's client certificate and when the certificate expires; `None` without one that is of a
/// party and valid now.
#[must_use]
pub fn certificate(extensions: &Extensions, now: Timestamp) -> Option<(PartyName, Timestamp)> {
    let certificate = extensions.get::<Certificate>()?;
    let party = certificate.party.clone()?;
    (now < certificate.not_after).then_some((party, certificate.not_after))
}

/// Notes that a request of the connection was authenticated: the connection is then kept.
pub fn note_authenticated(extensions: &Extensions) {
    if let Some(connection) = extensions.get::<ConnectionUse>() {
        connection.note_authenticated();
    }
}

/// Returns the address of the client; that of a proxy if there is one.
#[must_use]
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}
