//! The trusted keys, by purpose, and when each of them is valid.

use jiff::Timestamp;
use schemas::encryption::DecryptionKeys;
use schemas::name::PartyName;
use schemas::origin::Origin;
use schemas::sign::PublicKey;
use schemas::stream::Stream;
use serde::{Deserialize, Serialize};

use crate::message::StreamId;
use crate::violation::Violation;

/// The trusted keys, by purpose.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Publishers of chunks, parts, replies and progress.
    pub chunks: Vec<PublicKey>,
    /// Receivers, who sign receipts, requests, cancellations and confirmations.
    pub receipts: Vec<PublicKey>,
    /// Writers of audit entries and of operators' orders.
    pub entries: Vec<PublicKey>,
    /// Officers, who decide about requests.
    pub officers: Vec<PublicKey>,
    /// Auditors, who sign exports.
    pub exporters: Vec<PublicKey>,
    /// The history of the keys: limits of their validity. A key without a rule is valid at all times, for every party.
    pub rules: Vec<KeyRule>,
    /// The origin that chunks and receipts must have.
    pub here: Origin,
    /// The keys that decrypt bodies. Without a key, the signature, chain and body of a chunk are checked, but not rows and sums.
    pub decryption_keys: DecryptionKeys,
}

/// When a key is valid, and for whom: its rotation or its revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRule {
    /// The key.
    pub key: PublicKey,
    /// Its holder, if it may sign for one party only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<PartyName>,
    /// Messages that the exchange stored before are not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// When it was replaced by another key: messages that the exchange stored then or later are not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// When it was revoked: messages that the exchange stored then or later are not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
}

impl Trust {
    /// Returns the keys that may sign the messages of a stream.
    #[must_use]
    pub fn keys(&self, stream: Stream) -> &[PublicKey] {
        match stream {
            Stream::Data | Stream::Parts | Stream::Replies | Stream::Progress => &self.chunks,
            Stream::Receipts | Stream::Requests | Stream::Cancels | Stream::Confirms => &self.receipts,
            Stream::Approvals => &self.officers,
            Stream::Audit | Stream::Control => &self.entries,
        }
    }

    /// Returns the name of the list of [`Trust::keys`].
    #[must_use]
    pub fn list(stream: Stream) -> &'static str {
        match stream {
            Stream::Data | Stream::Parts | Stream::Replies | Stream::Progress => "chunks",
            Stream::Receipts | Stream::Requests | Stream::Cancels | Stream::Confirms => "receipts",
            Stream::Approvals => "officers",
            Stream::Audit | Stream::Control => "entries",
        }
    }

    /// Checks that a trusted key was valid for a message.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check_use(
        &self,
        key: &PublicKey,
        stream: &StreamId,
        stored_at: Timestamp,
    ) -> Result<(), Violation> {
        // The subjects of what the bureau signs name the recipient, not the signer.
        let is_signer = !matches!(
            stream.stream,
            Stream::Data | Stream::Parts | Stream::Replies | Stream::Progress | Stream::Approvals
        );
        for rule in self.rules.iter().filter(|rule| rule.key == *key) {
            if let Some(party) = rule
                .party
                .as_ref()
                .filter(|party| is_signer && **party != stream.party)
            {
                return Err(Violation::KeyOfOther {
                    key: key.clone(),
                    holder: party.clone(),
                });
            }
            let ends = [(rule.until, "replaced"), (rule.revoked, "revoked")];
            if let Some(from) = rule.from.filter(|from| stored_at < *from) {
                return Err(Violation::KeyTooEarly {
                    key: key.clone(),
                    from,
                });
            }
            for (at, how) in ends {
                if let Some(at) = at.filter(|at| stored_at >= *at) {
                    return Err(Violation::KeyEnded {
                        key: key.clone(),
                        how,
                        at,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use schemas::sign::SigningKey;

    use super::*;

    #[test]
    fn trust_key_is_valid_only_within_its_rules() {
        let key = SigningKey::generate().public().clone();
        let time = |second| Timestamp::from_second(second).unwrap();
        let stream: StreamId = "receipt.insurer-a".to_owned().try_into().unwrap();
        let rule = KeyRule {
            key: key.clone(),
            party: None,
            from: Some(time(10)),
            until: Some(time(20)),
            revoked: None,
        };
        let with = |rule: KeyRule| Trust {
            rules: vec![rule],
            ..Trust::default()
        };
        let trust = with(rule.clone());
        for (second, is_valid) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(
                trust.check_use(&key, &stream, time(second)).is_ok(),
                is_valid,
                "{second}"
            );
        }
        let revoked = with(KeyRule {
            revoked: Some(time(12)),
            ..rule.clone()
        });
        let error = revoked.check_use(&key, &stream, time(12)).unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
        let of_other = with(KeyRule {
            party: Some("insurer-b".parse().unwrap()),
            ..rule
        });
        assert!(of_other.check_use(&key, &stream, time(12)).is_err());
    }
}
