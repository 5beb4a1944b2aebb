//! The party that sends a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use jiff::Timestamp;
use schemas::name::RecipientName;
use tokio::sync::OwnedSemaphorePermit;
use web::interface::problem::ProblemKind;

use crate::authentication::{Certificate, Refusal, Token, authenticate};
use crate::client::ConnectionUse;
use crate::gateway::Gateway;
use crate::party::{PartyAccess, Role};
use crate::rejection::Rejection;

/// The authenticated party. As the first extractor of a handler it refuses every other caller before anything is read.
///
/// The second field is the permit of this request among the party's concurrent ones.
pub(crate) struct Caller(
    pub(crate) Arc<PartyAccess>,
    #[expect(dead_code, reason = "held until the response")] OwnedSemaphorePermit,
);

impl Caller {
    /// Returns the recipient that a request is about: for a recipient itself, else the one that the query names.
    pub(crate) fn recipient(&self, named: Option<&RecipientName>) -> Result<RecipientName, Rejection> {
        match (self.0.role, named) {
            (Role::Recipient, named) => {
                if let Some(named) = named {
                    self.may_name(named.as_str())?;
                }
                RecipientName::new(self.0.name.as_str())
                    .map_err(|error| Rejection::new(ProblemKind::Internal, error.to_string()))
            }
            (Role::Bureau | Role::Auditor, Some(named)) => Ok(named.clone()),
            (Role::Bureau | Role::Auditor, None) => Err(Rejection::bad_request(
                "the query parameter recipient is missing: it names whose request is meant",
            )),
        }
    }

    /// Checks that a recipient names only itself.
    pub(crate) fn may_name(&self, party: &str) -> Result<(), Rejection> {
        if self.0.role == Role::Recipient && self.0.name.as_str() != party {
            let detail = format!("{} is a recipient and may name only itself", self.0.name);
            return Err(Rejection::new(ProblemKind::Denied, detail));
        }
        Ok(())
    }
}

impl FromRequestParts<Gateway> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Rejection> {
        let now = Timestamp::now();
        let certificate = parts.extensions.get::<Certificate>();
        let token = token(parts, gateway, now);
        let name = authenticate(certificate, token, now).map_err(|refusal| refused(gateway, refusal))?;
        let access = gateway.party(&name);
        let access = access.ok_or_else(|| refused(gateway, Refusal::NoParty))?;
        gateway.note_authenticated();
        if let Some(connection) = parts.extensions.get::<ConnectionUse>() {
            connection.note_authenticated();
        }
        gateway.check_rate(&name).map_err(|wait| {
            gateway.metrics().rate_limited(&name);
            let wait = wait.as_millis();
            let detail =
                format!("the limit of requests of {name} is reached; the next is accepted in {wait} ms");
            Rejection::new(ProblemKind::RateLimited, detail)
        })?;
        let permit = gateway.take_request(&name).await.ok_or_else(|| {
            let detail = format!("{name} has as many requests in progress as it may");
            Rejection::new(ProblemKind::Unavailable, detail)
        })?;
        Ok(Self(Arc::clone(access), permit))
    }
}

/// Returns what the `Authorization` header holds.
fn token(parts: &Parts, gateway: &Gateway, now: Timestamp) -> Token {
    let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (value, more) = (values.next(), values.next());
    let Some(value) = value else {
        return Token::Missing;
    };
    let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
    match bearer {
        Some((scheme, bearer)) if more.is_none() && scheme.eq_ignore_ascii_case("bearer") => {
            match gateway.tokens().authenticate(bearer.trim(), now) {
                Some((party, _)) => Token::Valid(party),
                None => Token::Invalid,
            }
        }
        _ => Token::Malformed,
    }
}

/// Counts and logs a refused authentication.
fn refused(gateway: &Gateway, refusal: Refusal) -> Rejection {
    let reason = refusal.to_string();
    gateway.metrics().refused_authentication();
    if gateway.is_new_refusal(&reason) {
        tracing::warn!(reason, "authentication refused");
    }
    Rejection::new(ProblemKind::Unauthenticated, reason)
}
