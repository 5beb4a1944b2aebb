//! What all requests share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use schemas::name::PartyName;

use crate::facts::{FactsCache, Trust};
use crate::login_limit::LoginLimit;
use crate::records::Records;
use crate::request_limit::RequestLimit;
use crate::session::{Session, Sessions};
use crate::site::{ConsoleRole, Credential, Site};

/// The state of the console. Copies are the same.
#[derive(Clone)]
pub struct Console {
    shared: Arc<Shared>,
}

struct Shared {
    site: Site,
    sessions: Mutex<Sessions>,
    logins: LoginLimit,
    requests: RequestLimit,
    facts: HashMap<PartyName, Arc<FactsCache>>,
    trust: Arc<Trust>,
    records: Records,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Console").field(&self.shared.site).finish()
    }
}

impl Console {
    pub(crate) fn new(site: Site) -> Self {
        Self {
            shared: Arc::new(Shared {
                sessions: Mutex::default(),
                logins: LoginLimit::new(site.limits.logins_per_minute),
                requests: RequestLimit::new(site.limits.requests_per_second),
                facts: site
                    .parties
                    .keys()
                    .map(|party| (party.clone(), Arc::default()))
                    .collect(),
                trust: Arc::new(Trust {
                    bureau: site.bureau.clone(),
                    by_party: site.trust.clone(),
                }),
                records: Records::default(),
                site,
            }),
        }
    }

    /// What the binary gave.
    pub(crate) fn site(&self) -> &Site {
        &self.shared.site
    }

    /// The signing keys of each party.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.shared.trust)
    }

    /// What the pages of records keep.
    pub(crate) fn records(&self) -> &Records {
        &self.shared.records
    }

    /// The limits of logins.
    pub(crate) fn logins(&self) -> &LoginLimit {
        &self.shared.logins
    }

    /// The limits of requests.
    pub(crate) fn requests(&self) -> &RequestLimit {
        &self.shared.requests
    }

    /// The facts read last for a party.
    pub(crate) fn facts(&self, party: &PartyName) -> Option<Arc<FactsCache>> {
        self.shared.facts.get(party).cloned()
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.site.clock)()
    }

    /// The sessions.
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.shared
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a session and its role if it is open and its credential still is valid; else the session ends. `certificate`
    /// is the party of the connection's client certificate. `is_use` notes a use.
    pub(crate) fn session(
        &self,
        key: &[u8; 32],
        certificate: Option<&(PartyName, Option<ConsoleRole>)>,
        is_use: bool,
    ) -> Option<(Session, ConsoleRole)> {
        let (site, now) = (self.site(), self.now());
        let session = self.sessions().enter(key, &site.limits, now, is_use)?;
        let role = match &session.credential {
            Credential::Token(id) => {
                let identity = site.authentication.token(id, now);
                let identity = identity.filter(|identity| identity.party == session.party);
                identity.and_then(|identity| identity.role)
            }
            Credential::Certificate(party) => {
                let presented = certificate.filter(|(presented, _)| presented == party);
                presented.and_then(|(_, role)| *role)
            }
        };
        let role = role.filter(|_| site.parties.contains_key(&session.party));
        match role {
            Some(role) => Some((session, role)),
            None => {
                self.sessions().close(key);
                None
            }
        }
    }
}
