//! PURE: authenticates a request by client certificate and bearer token.

use jiff::Timestamp;
use schemas::name::PartyName;

/// The client certificate of a connection, verified against the configured authorities in the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The party that it belongs to; `None` if it belongs to none, or to several.
    pub(crate) party: Option<PartyName>,
    /// When it expires: a connection may live longer than its certificate.
    pub(crate) not_after: Timestamp,
}

/// What the `Authorization` header holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// There is none.
    Missing,
    /// Not one header of the form `Bearer TOKEN`.
    Malformed,
    /// Unknown or expired.
    Invalid,
    /// A token of this party.
    Valid(PartyName),
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Neither certificate nor token.
    #[error("the request has neither a client certificate nor a bearer token")]
    Missing,
    /// See [`Token::Malformed`].
    #[error("the Authorization header is not of the form: Bearer TOKEN")]
    Malformed,
    /// See [`Token::Invalid`].
    #[error("the bearer token is unknown or expired")]
    InvalidToken,
    /// The certificate expired since the handshake.
    #[error("the client certificate expired")]
    Expired,
    /// The certificate belongs to no party.
    #[error("the client certificate belongs to no configured party")]
    UnknownCertificate,
    /// Certificate and token name different parties.
    #[error("client certificate and bearer token belong to different parties")]
    Contradiction,
    /// The party is not served.
    #[error("the party of the credential is not served here")]
    NoParty,
}

/// Returns the party that sends a request. Every credential that is given must be valid, and all of the same party.
pub(crate) fn authenticate(
    certificate: Option<&Certificate>,
    token: Token,
    now: Timestamp,
) -> Result<PartyName, Refusal> {
    let by_token = match token {
        Token::Malformed => return Err(Refusal::Malformed),
        Token::Invalid => return Err(Refusal::InvalidToken),
        Token::Missing => None,
        Token::Valid(party) => Some(party),
    };
    let by_certificate = match certificate {
        Some(certificate) if certificate.not_after <= now => return Err(Refusal::Expired),
        Some(certificate) => certificate.party.as_ref(),
        None => None,
    };
    match (by_certificate, by_token) {
        (Some(party), Some(token)) if *party != token => Err(Refusal::Contradiction),
        (Some(party), _) => Ok(party.clone()),
        (None, Some(party)) => Ok(party),
        (None, None) if certificate.is_some() => Err(Refusal::UnknownCertificate),
        (None, None) => Err(Refusal::Missing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str) -> PartyName {
        PartyName::new(name).unwrap()
    }

    fn certificate(name: Option<&str>, not_after: i64) -> Certificate {
        Certificate {
            party: name.map(party),
            not_after: Timestamp::from_second(not_after).unwrap(),
        }
    }

    #[test]
    fn authentication_accepts_one_valid_credential() {
        let now = Timestamp::from_second(100).unwrap();
        let known = certificate(Some("insurer-a"), 200);
        let unknown = certificate(None, 200);
        let a = Ok(party("insurer-a"));
        let token = |name| Token::Valid(party(name));
        assert_eq!(authenticate(Some(&known), Token::Missing, now), a);
        assert_eq!(authenticate(None, token("insurer-a"), now), a);
        assert_eq!(authenticate(Some(&known), token("insurer-a"), now), a);
        // A certificate of the site's authority that is of no party does not harm a token.
        assert_eq!(authenticate(Some(&unknown), token("insurer-a"), now), a);
    }

    #[test]
    fn authentication_refuses_with_the_reason() {
        let now = Timestamp::from_second(100).unwrap();
        let known = certificate(Some("insurer-a"), 200);
        let unknown = certificate(None, 200);
        let expired = certificate(Some("insurer-a"), 100);
        let other = Token::Valid(party("insurer-b"));
        for (certificate, token, refusal) in [
            (None, Token::Missing, Refusal::Missing),
            (None, Token::Malformed, Refusal::Malformed),
            (None, Token::Invalid, Refusal::InvalidToken),
            (Some(&known), Token::Invalid, Refusal::InvalidToken),
            (Some(&known), other, Refusal::Contradiction),
            (Some(&unknown), Token::Missing, Refusal::UnknownCertificate),
            (Some(&expired), Token::Missing, Refusal::Expired),
        ] {
            assert_eq!(authenticate(certificate, token, now), Err(refusal));
        }
    }
}
