//! Sealing: what only its reader can open, whoever holds the streams.
//!
//! The exchange stands between the parties and belongs to neither, or to one of them. A sealed
//! chunk shows its operator who sends how many rows of which feed to whom, under which load, and
//! nothing of what is in them:
//!
//! - [`parcel`] the body, with the sums of money and the rejects, is sealed to the recipient; so are
//!   the parts of a reply
//! - [`position`] the cursor, whose values may be personal data, is sealed by the publisher to
//!   itself; recipients, receipts and auditors pass it on and compare it unopened
//! - [`key`] the keys: X25519 in the nkey text form, `SX…`/`X…`; [`ring`] several of them, for
//!   a change of keys with an overlap
//!
//! Rows are packed and compressed first, then sealed, then signed: the digest in the manifest
//! covers the published bytes, so signature, chain and body hold for whoever cannot open it.

pub mod key;
pub mod parcel;
pub mod position;
pub mod ring;

pub use key::{SealKey, SealKeyError, SealPublicKey};
pub use parcel::Sealing;
pub use ring::SealRing;

/// Why something sealed cannot be opened, or not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed to a key that this side does not hold: it waits for the seed, nothing is wrong with it.
    #[error(
        "sealed to another key ({to}), this side has {}: add the seed of that key to [sealing]",
        told(have)
    )]
    OtherKey {
        /// The key it is sealed to.
        to: SealPublicKey,
        /// The keys that are here.
        have: Vec<SealPublicKey>,
    },
    /// Sealed to a key that is here, and still it does not open.
    #[error(
        "sealed to {to}, which this side holds, but it does not open in this place: it was altered, or sealed for another one"
    )]
    Broken {
        /// The key it claims to be sealed to.
        to: SealPublicKey,
    },
    /// An algorithm this version does not know.
    #[error("the sealing {0:?} is not known to this version: upgrade the receiver")]
    Unknown(String),
    /// What was sealed is not what belongs there.
    #[error("what was sealed is malformed: {0}")]
    Malformed(&'static str),
    /// It could not be sealed.
    #[error("cannot be sealed: {0}")]
    Failed(&'static str),
}

fn told(keys: &[SealPublicKey]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    let keys: Vec<&str> = keys.iter().map(SealPublicKey::as_str).collect();
    keys.join(", ")
}
