//! PURE: which party a client certificate belongs to: by the digest of its public key, or by a name in it, as configured. The
//! common name is not used: authorities do not check it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemas::name::PartyName;
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::authentication::Certificate;

/// How the client certificates of a party are recognised. One match is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyIdentity {
    /// The party.
    pub party: PartyName,
    /// SHA-256 digests of public keys (SubjectPublicKeyInfo, DER), in hex.
    pub spki_sha256: Vec<String>,
    /// DNS names among the subject's alternative names.
    pub dns_names: Vec<String>,
    /// URIs among the subject's alternative names.
    pub uris: Vec<String>,
}

/// An identity that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not a digest.
    #[error(
        "{given:?} of party {party} is not a SHA-256 digest of 64 hex digits; `openssl x509 -pubkey` and `sha256sum` make it"
    )]
    Digest {
        /// The party.
        party: PartyName,
        /// The given text.
        given: String,
    },
    /// Not a name that a certificate can be compared with.
    #[error("{given:?} of party {party} is not a complete name; wildcards and empty names are not allowed")]
    Name {
        /// The party.
        party: PartyName,
        /// The given text.
        given: String,
    },
    /// Two parties have the same identity.
    #[error("{given:?} identifies both {first} and {second}; give each party its own certificate")]
    Shared {
        /// The party that has it first.
        first: PartyName,
        /// The other one.
        second: PartyName,
        /// The digest or name.
        given: String,
    },
    /// The party has no access.
    #[error("party {0} has an identity and no connection to the exchange; configure both")]
    UnknownParty(PartyName),
}

/// One way to recognise a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Spki([u8; 32]),
    Dns(String),
    Uri(String),
}

/// The identities of all parties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    by_key: BTreeMap<Key, PartyName>,
}

impl Identities {
    /// Checks and combines the identities of the parties.
    ///
    /// # Errors
    /// [`IdentityError`] names the entry.
    pub fn new(identities: Vec<PartyIdentity>) -> Result<Self, IdentityError> {
        let mut combined = Self::default();
        for identity in identities {
            let party = &identity.party;
            for given in &identity.spki_sha256 {
                combined.insert(parse_digest(party, given)?, party, given)?;
            }
            for given in &identity.dns_names {
                let name = parse_name(party, given)?.to_ascii_lowercase();
                combined.insert(Key::Dns(name), party, given)?;
            }
            for given in &identity.uris {
                let uri = parse_name(party, given)?.to_owned();
                combined.insert(Key::Uri(uri), party, given)?;
            }
        }
        Ok(combined)
    }

    /// Returns the parties that have an identity.
    pub fn parties(&self) -> impl Iterator<Item = &PartyName> {
        self.by_key.values()
    }

    fn insert(&mut self, key: Key, party: &PartyName, given: &str) -> Result<(), IdentityError> {
        match self.by_key.insert(key, party.clone()) {
            Some(first) if first != *party => Err(IdentityError::Shared {
                first,
                second: party.clone(),
                given: given.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Reads a client certificate. Returns `None` if it cannot be parsed.
    pub(crate) fn certificate(&self, der: &[u8]) -> Option<Certificate> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?;
        let mut keys = vec![Key::Spki(Sha256::digest(certificate.public_key().raw).into())];
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            keys.extend(names.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(Key::Dns(name.to_ascii_lowercase())),
                GeneralName::URI(uri) => Some(Key::Uri((*uri).to_owned())),
                _ => None,
            }));
        }
        let mut parties: Vec<&PartyName> = keys.iter().filter_map(|key| self.by_key.get(key)).collect();
        parties.sort();
        parties.dedup();
        // A certificate that matches several parties is of none: which one is meant would depend on an order.
        let party = match parties[..] {
            [party] => Some(party.clone()),
            _ => None,
        };
        Some(Certificate { party, not_after })
    }
}

fn parse_digest(party: &PartyName, given: &str) -> Result<Key, IdentityError> {
    let digits: String = given.chars().filter(|character| *character != ':').collect();
    let digest = hex::decode(&digits).ok().and_then(|bytes| bytes.try_into().ok());
    digest.map(Key::Spki).ok_or_else(|| IdentityError::Digest {
        party: party.clone(),
        given: given.to_owned(),
    })
}

fn parse_name<'a>(party: &PartyName, given: &'a str) -> Result<&'a str, IdentityError> {
    let is_complete = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
    if is_complete {
        Ok(given)
    } else {
        Err(IdentityError::Name {
            party: party.clone(),
            given: given.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, PublicKeyData, SanType};

    use super::*;

    fn party(name: &str) -> PartyName {
        PartyName::new(name).unwrap()
    }

    fn identity(name: &str) -> PartyIdentity {
        PartyIdentity {
            party: party(name),
            spki_sha256: Vec::new(),
            dns_names: Vec::new(),
            uris: Vec::new(),
        }
    }

    /// Returns a certificate with these names, and the digest of its public key.
    fn certificate(common_name: &str, dns: &[&str], uri: &[&str]) -> (Vec<u8>, String) {
        let key = KeyPair::generate().unwrap();
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let uris = uri.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        (der, hex::encode(Sha256::digest(key.subject_public_key_info())))
    }

    fn found(identities: Vec<PartyIdentity>, der: &[u8]) -> Option<PartyName> {
        let identities = Identities::new(identities).unwrap();
        identities.certificate(der).unwrap().party
    }

    #[test]
    fn identity_is_the_key_or_an_alternative_name() {
        let uri = "spiffe://site/insurer-a";
        let (der, digest) = certificate("x", &["a.insurer.example"], &[uri]);
        let mut by_key = identity("insurer-a");
        by_key.spki_sha256 = vec![digest.to_uppercase()];
        assert_eq!(found(vec![by_key], &der), Some(party("insurer-a")));
        let mut by_dns = identity("insurer-a");
        by_dns.dns_names = vec!["A.insurer.example".to_owned()];
        assert_eq!(found(vec![by_dns], &der), Some(party("insurer-a")));
        let mut by_uri = identity("insurer-a");
        by_uri.uris = vec![uri.to_owned()];
        assert_eq!(found(vec![by_uri], &der), Some(party("insurer-a")));
    }

    #[test]
    fn identity_is_never_the_common_name() {
        let (der, _) = certificate("a.insurer.example", &["other.example"], &[]);
        let mut by_dns = identity("insurer-a");
        by_dns.dns_names = vec!["a.insurer.example".to_owned(), "insurer.example".to_owned()];
        by_dns.uris = vec!["a.insurer.example".to_owned()];
        assert_eq!(found(vec![by_dns], &der), None);
    }

    #[test]
    fn identity_of_two_parties_is_of_none() {
        let (der, digest) = certificate("x", &["b.example"], &[]);
        let (mut a, mut b) = (identity("insurer-a"), identity("insurer-b"));
        a.spki_sha256 = vec![digest];
        b.dns_names = vec!["b.example".to_owned()];
        assert_eq!(found(vec![a, b], &der), None);
    }

    #[test]
    fn identity_that_is_ambiguous_or_malformed_is_refused() {
        let (mut a, mut b) = (identity("insurer-a"), identity("insurer-b"));
        a.dns_names = vec!["a.example".to_owned()];
        b.dns_names = vec!["A.EXAMPLE".to_owned()];
        let shared = Identities::new(vec![a.clone(), b]);
        assert!(matches!(shared, Err(IdentityError::Shared { .. })), "{shared:?}");
        a.dns_names = vec!["*.example".to_owned()];
        let wildcard = Identities::new(vec![a]);
        assert!(
            matches!(wildcard, Err(IdentityError::Name { .. })),
            "{wildcard:?}"
        );
        let mut short = identity("insurer-a");
        short.spki_sha256 = vec!["abcd".to_owned()];
        let short = Identities::new(vec![short]);
        assert!(matches!(short, Err(IdentityError::Digest { .. })), "{short:?}");
    }

    #[test]
    fn identity_of_malformed_certificate_is_none() {
        assert_eq!(Identities::default().certificate(b"no certificate"), None);
    }
}
