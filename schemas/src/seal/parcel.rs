//! The body sealed to the recipient, and with it what the manifest would tell of single rows.
//!
//! Each chunk has a key pair of its own, made for it and thrown away: whoever steals the
//! publisher's seeds later opens nothing that was published before. The box is
//! XChaCha20-Poly1305 under the X25519 secret of that key and the recipient's (the `ChaChaBox`
//! of NaCl's `crypto_box` family). It meets one nonce only, the first 24 bytes of the SHA-256
//! of its place: lane, epoch, number and both public keys; of a part of a reply: recipient,
//! request and its digest, attempt, number and both public keys. So a body that is moved to
//! another place does not open there, even for a recipient that checks no manifest.
//!
//! Sealed is: the length of the private part (4 bytes, big-endian), the private part (JSON:
//! sums of money, rejects), and the compressed rows. A chunk may hold a single row, so that its
//! sums are that row's amounts: they are sealed too. The number of rows, of deleted rows and of
//! rejects stays in clear, so that anybody can count.

use std::collections::BTreeMap;

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SealError;
use super::key::{SealKey, SealPublicKey};
use super::ring::SealRing;
use crate::body::BodyForm;
use crate::digest::Digest;
use crate::manifest::{Manifest, Reject, Totals};

/// The algorithm's name in the manifest.
pub const ALGORITHM: &str = "x25519-xchacha20-poly1305";

/// How a body is sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealing {
    /// `x25519-xchacha20-poly1305`.
    pub algorithm: String,
    /// The recipient's key.
    pub recipient_key: SealPublicKey,
    /// This chunk's own key: made for it, and its secret half thrown away.
    pub sender_key: SealPublicKey,
    /// How many rejects are sealed with the rows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rejects: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What leaves the manifest when the body is sealed.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Private {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    money: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unsummed: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejects: Vec<Reject>,
}

/// What describes a body: the manifest of a chunk, or a part of a reply.
pub trait Carrier {
    /// What the body belongs to, without its keys: no two places have the same bytes.
    fn place(&self) -> Vec<u8>;
    /// The body's form.
    fn body(&mut self) -> &mut BodyForm;
    /// Its control totals; the money among them is sealed with the body.
    fn totals(&mut self) -> &mut Totals;
    /// Rows that could not be carried; sealed with the body.
    fn rejects(&mut self) -> &mut Vec<Reject>;
}

impl Carrier for Manifest {
    fn place(&self) -> Vec<u8> {
        let names = ["slacktide.body.v1", self.recipient.as_str(), self.feed.as_str()];
        let mut place = named(&names);
        place.extend_from_slice(&self.epoch.to_be_bytes());
        place.extend_from_slice(&self.number.to_be_bytes());
        place
    }
    fn body(&mut self) -> &mut BodyForm {
        &mut self.body
    }
    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }
    fn rejects(&mut self) -> &mut Vec<Reject> {
        &mut self.rejects
    }
}

/// Names one after the other, each with its end.
pub(crate) fn named(names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(300);
    for name in names {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Seals a body for its place. The manifest describes the unsealed body before, and
/// the sealed one after; money and rejects have left it.
///
/// # Errors
/// [`SealError::Failed`] without randomness.
pub fn seal(manifest: &mut impl Carrier, body: &[u8], to: &SealPublicKey) -> Result<Vec<u8>, SealError> {
    let sender = SealKey::generate().map_err(|_| SealError::Failed("no key for the chunk could be made"))?;
    let private = Private {
        money: std::mem::take(&mut manifest.totals().money),
        unsummed: std::mem::take(&mut manifest.totals().unsummed),
        rejects: std::mem::take(manifest.rejects()),
    };
    let sealing = Sealing {
        algorithm: ALGORITHM.to_owned(),
        recipient_key: to.clone(),
        sender_key: sender.public().clone(),
        rejects: private.rejects.len() as u64,
    };
    let private = serde_json::to_vec(&private).map_err(|_| SealError::Failed("its totals are no JSON"))?;
    let length = u32::try_from(private.len()).map_err(|_| SealError::Failed("its rejects are over 4 GB"))?;
    let mut plain = Vec::with_capacity(4 + private.len() + body.len());
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(&private);
    plain.extend_from_slice(body);
    let sealed = ChaChaBox::new(&to.point(), &sender.secret)
        .encrypt(&nonce(manifest.place(), &sealing).into(), plain.as_slice())
        .map_err(|_| SealError::Failed("it is too large"))?;
    let form = manifest.body();
    form.digest = Digest::of(&[&sealed]);
    form.bytes = sealed.len() as u64;
    form.sealing = Some(sealing);
    Ok(sealed)
}

/// Opens a sealed body; an unsealed one is handed back. Money and rejects return into the
/// manifest. The body's digest was checked before.
///
/// # Errors
/// [`SealError`], each with what differs; the manifest is then as it was.
pub fn open(manifest: &mut impl Carrier, body: &[u8], ring: &SealRing) -> Result<Vec<u8>, SealError> {
    let Some(sealing) = manifest.body().sealing.clone() else {
        return Ok(body.to_vec());
    };
    if sealing.algorithm != ALGORITHM {
        return Err(SealError::Unknown(sealing.algorithm.chars().take(80).collect()));
    }
    let to = sealing.recipient_key.clone();
    let Some(key) = ring.find(&to) else {
        return Err(SealError::OtherKey {
            to,
            have: ring.publics(),
        });
    };
    let mut plain = ChaChaBox::new(&sealing.sender_key.point(), &key.secret)
        .decrypt(&nonce(manifest.place(), &sealing).into(), body)
        .map_err(|_| SealError::Broken { to })?;
    let (private, length) = private(&plain).ok_or(SealError::Malformed("its private part"))?;
    if private.rejects.len() as u64 != sealing.rejects {
        return Err(SealError::Malformed(
            "its rejects are not as many as the manifest says",
        ));
    }
    plain.drain(..length);
    manifest.totals().money = private.money;
    manifest.totals().unsummed = private.unsummed;
    *manifest.rejects() = private.rejects;
    Ok(plain)
}

fn private(plain: &[u8]) -> Option<(Private, usize)> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let private = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some((private, 4 + length))
}

/// What a body belongs to, and between which keys.
fn nonce(mut place: Vec<u8>, sealing: &Sealing) -> [u8; 24] {
    place.extend_from_slice(sealing.sender_key.raw());
    place.extend_from_slice(sealing.recipient_key.raw());
    first(Digest::of(&[&place]))
}

/// As many bytes of a digest as a nonce has.
pub(super) fn first(Digest(digest): Digest) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    nonce
}
