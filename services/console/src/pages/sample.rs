//! What the tests of pages are rendered for, and an exchange in memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::Extensions;
use exchange_testing::memory::Memory;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::name::PartyName;
use schemas::sign::PublicKey;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::site::{Authentication, ConsoleRole, Identity, Limits, Party, PartyRole, Site};

const NOW: &str = "2026-01-31T08:00:00Z";

/// The time of the tests.
pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn party(role: PartyRole) -> PartyName {
    let name = match role {
        PartyRole::Bureau => "bureau",
        PartyRole::Recipient => "insurer-a",
        PartyRole::Auditor => "auditor",
    };
    name.parse().unwrap()
}

/// A context in English and UTC.
pub(crate) fn context(party_role: PartyRole, role: ConsoleRole) -> Context {
    Context {
        party: party(party_role),
        party_role,
        role,
        ..crate::context::tests::context(NOW)
    }
}

struct Closed;

impl Authentication for Closed {
    fn by_token(&self, _: &str, _: Timestamp) -> Option<Identity> {
        None
    }
    fn by_certificate(&self, _: &Extensions, _: Timestamp) -> Option<Identity> {
        None
    }
    fn token(&self, _: &str, _: Timestamp) -> Option<Identity> {
        None
    }
    fn note_authenticated(&self, _: &Extensions) {}
    fn peer(&self, _: &Extensions) -> Option<IpAddr> {
        None
    }
}

/// What a party may read at an exchange in memory.
pub(crate) fn access(
    exchange: &Arc<Memory>,
    role: PartyRole,
    trust: BTreeMap<PartyName, Vec<PublicKey>>,
) -> Access {
    let name = party(role);
    let served = Party {
        role,
        exchange: exchange.clone(),
    };
    let site = Site {
        parties: [(name.clone(), served)].into(),
        trust,
        bureau: party(PartyRole::Bureau),
        authentication: Arc::new(Closed),
        is_secure: false,
        zone: TimeZone::UTC,
        version: "0",
        clock: now,
        machine: None,
        limits: Limits::default(),
        stop: tokio_util::sync::CancellationToken::new(),
    };
    let console = Console::new(site);
    Access {
        role,
        exchange: exchange.clone(),
        trust: console.trust(),
        cache: console.facts(&name).unwrap(),
        now,
        party: name,
        console,
    }
}
