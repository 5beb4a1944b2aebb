//! The console in the gateway: its parts, made of the gateway's.

use std::net::IpAddr;
use std::sync::Arc;

use ::console::site::Limits;
use ::console::site::machine::Machine;
use ::console::{Authentication, Credential, Extensions, Identity, Party, Site, router};
use ::gateway::{Mounted, PartyAccess, Role, TokenEntry, TokenRegistry, client};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemas::name::PartyName;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::settings::GatewayFile;

/// Returns the console, if the file has it.
pub(super) fn mount(
    file: &GatewayFile,
    parties: &[PartyAccess],
    tokens: &Arc<TokenRegistry>,
    machine: Arc<dyn Machine>,
    stop: &CancellationToken,
) -> Result<Option<Mounted>, Failure> {
    if !file.gateway.console {
        return Ok(None);
    }
    let party = |access: &PartyAccess| {
        let party = Party {
            role: party_role(access.role),
            exchange: Arc::clone(&access.exchange),
        };
        (access.name.clone(), party)
    };
    let bureau = parties.iter().find(|party| party.role == Role::Bureau);
    let bureau = match bureau {
        Some(party) => party.name.clone(),
        None => PartyName::new("bureau").map_err(|error| Failure::internal(&error))?,
    };
    let roles = file
        .parties
        .iter()
        .filter_map(|party| Some((party.name.clone(), console_role(party.console?))));
    let site = Site {
        parties: parties.iter().map(party).collect(),
        trust: file.gateway.trust.clone(),
        bureau,
        authentication: Arc::new(Credentials {
            tokens: Arc::clone(tokens),
            certificates: roles.collect(),
        }),
        is_secure: file.gateway.tls.is_some(),
        zone: TimeZone::system(),
        version: env!("CARGO_PKG_VERSION"),
        clock: Timestamp::now,
        machine: Some(machine),
        limits: Limits::default(),
        stop: stop.clone(),
    };
    Ok(Some(Mounted {
        path: "/console",
        router: router(site),
    }))
}

fn party_role(role: Role) -> ::console::PartyRole {
    match role {
        Role::Bureau => ::console::PartyRole::Bureau,
        Role::Recipient => ::console::PartyRole::Recipient,
        Role::Auditor => ::console::PartyRole::Auditor,
    }
}

fn console_role(role: ::gateway::ConsoleRole) -> ::console::ConsoleRole {
    match role {
        ::gateway::ConsoleRole::Viewer => ::console::ConsoleRole::Viewer,
        ::gateway::ConsoleRole::Operator => ::console::ConsoleRole::Operator,
    }
}

/// The gateway's credentials, as the console asks for them.
struct Credentials {
    tokens: Arc<TokenRegistry>,
    /// What the certificates of each party allow.
    certificates: std::collections::BTreeMap<PartyName, ::console::ConsoleRole>,
}

fn identity(entry: TokenEntry) -> Identity {
    Identity {
        credential: Credential::Token(entry.id),
        party: entry.party,
        role: entry.console.map(console_role),
        expires_at: entry.expires_at,
    }
}

impl Authentication for Credentials {
    fn by_token(&self, bearer: &str, now: Timestamp) -> Option<Identity> {
        self.tokens.find(bearer, now).map(identity)
    }

    fn by_certificate(&self, extensions: &Extensions, now: Timestamp) -> Option<Identity> {
        let (party, expires_at) = client::certificate(extensions, now)?;
        Some(Identity {
            credential: Credential::Certificate(party.clone()),
            role: self.certificates.get(&party).copied(),
            party,
            expires_at,
        })
    }

    fn token(&self, id: &str, now: Timestamp) -> Option<Identity> {
        self.tokens.entry(id, now).map(identity)
    }

    fn note_authenticated(&self, extensions: &Extensions) {
        client::note_authenticated(extensions);
    }

    fn peer(&self, extensions: &Extensions) -> Option<IpAddr> {
        client::peer(extensions)
    }
}
