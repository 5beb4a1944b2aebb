//! Encryption of a body to its recipient, together with the manifest fields that disclose single rows.
//!
//! Each chunk has its own ephemeral key pair: seeds that are stolen from the publisher later decrypt nothing that was
//! published before. The cipher is XChaCha20-Poly1305 under the X25519 secret of that key and the recipient's (the
//! `ChaChaBox` of NaCl's `crypto_box` family). Each key pair is used with one nonce only: the first 24 bytes of the SHA-256
//! of the binding and both public keys. The binding of a chunk is its lane, epoch and number; of a part of a reply, the
//! recipient, the request and its digest, the attempt and the number. A body that is moved to another message
//! therefore does not decrypt there, even for a recipient that checks no manifest.
//!
//! The plaintext is the length of the private fields (4 bytes, big-endian), the private fields (JSON: sums of money,
//! rejects) and the compressed rows. A chunk may hold a single row, whose amounts are then its sums, so the sums are
//! encrypted too. The numbers of rows, of deleted rows and of rejects stay in clear for anyone to count.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead;
use serde::{Deserialize, Serialize};

use super::EncryptionError;
use super::format::{ALGORITHM, BodyEncryption};
use super::key::{EncryptionKey, EncryptionPublicKey};
use super::keys::DecryptionKeys;
use crate::digest::Digest;
use crate::manifest::{Content, Reject};

/// The fields that move from the manifest into the encrypted body.
#[derive(Debug, Default, Serialize, Deserialize)]
struct PrivateFields {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    money: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unsummed: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejects: Vec<Reject>,
}

/// Concatenates names, each followed by a zero byte.
pub(crate) fn zero_terminated(names: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(300);
    for name in names {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Encrypts a body and updates its description, which then describes the encrypted body and holds neither money nor rejects.
/// `binding` identifies the message uniquely, without its keys.
///
/// # Errors
/// [`EncryptionError::EncryptionFailed`] when no randomness is available or the body is too large.
pub fn encrypt(
    content: &mut Content,
    binding: Vec<u8>,
    body: &[u8],
    to: &EncryptionPublicKey,
) -> Result<Vec<u8>, EncryptionError> {
    let sender = EncryptionKey::generate()
        .map_err(|_| EncryptionError::EncryptionFailed("no ephemeral key could be generated"))?;
    let private = PrivateFields {
        money: std::mem::take(&mut content.totals.money),
        unsummed: std::mem::take(&mut content.totals.unsummed),
        rejects: std::mem::take(&mut content.rejects),
    };
    let encryption = BodyEncryption {
        algorithm: ALGORITHM.to_owned(),
        recipient_key: to.clone(),
        sender_key: sender.public().clone(),
        rejects: private.rejects.len() as u64,
    };
    let private = serde_json::to_vec(&private)
        .map_err(|_| EncryptionError::EncryptionFailed("the totals cannot be written as JSON"))?;
    let length = u32::try_from(private.len())
        .map_err(|_| EncryptionError::EncryptionFailed("the rejects exceed 4 GB"))?;
    let mut plain = Vec::with_capacity(4 + private.len() + body.len());
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(&private);
    plain.extend_from_slice(body);
    let encrypted = ChaChaBox::new(&to.point(), &sender.secret)
        .encrypt(&derive_nonce(binding, &encryption).into(), plain.as_slice())
        .map_err(|_| EncryptionError::EncryptionFailed("the body is too large"))?;
    content.body.digest = Digest::of(&[&encrypted]);
    content.body.bytes = encrypted.len() as u64;
    content.body.encryption = Some(encryption);
    Ok(encrypted)
}

/// Decrypts a body and puts money and rejects back into its description. Returns a body in clear unchanged.
/// The caller checks the body's digest first.
///
/// # Errors
/// [`EncryptionError`] names what differs; the description is then unchanged.
pub fn decrypt<'b>(
    content: &mut Content,
    binding: Vec<u8>,
    body: &'b [u8],
    keys: &DecryptionKeys,
) -> Result<Cow<'b, [u8]>, EncryptionError> {
    let Some(encryption) = content.body.encryption.clone() else {
        return Ok(Cow::Borrowed(body));
    };
    if encryption.algorithm != ALGORITHM {
        let name = encryption.algorithm.chars().take(80).collect();
        return Err(EncryptionError::UnknownAlgorithm(name));
    }
    let to = encryption.recipient_key.clone();
    let Some(key) = keys.find(&to) else {
        return Err(EncryptionError::KeyMissing {
            to,
            have: keys.public_keys(),
        });
    };
    let mut plain = ChaChaBox::new(&encryption.sender_key.point(), &key.secret)
        .decrypt(&derive_nonce(binding, &encryption).into(), body)
        .map_err(|_| EncryptionError::DecryptionFailed { to })?;
    let (private, length) =
        read_private_fields(&plain).ok_or(EncryptionError::Malformed("the private fields"))?;
    if private.rejects.len() as u64 != encryption.rejects {
        return Err(EncryptionError::Malformed(
            "the number of rejects differs from the manifest's",
        ));
    }
    plain.drain(..length);
    content.totals.money = private.money;
    content.totals.unsummed = private.unsummed;
    content.rejects = private.rejects;
    Ok(Cow::Owned(plain))
}

fn read_private_fields(plain: &[u8]) -> Option<(PrivateFields, usize)> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let private = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some((private, 4 + length))
}

fn derive_nonce(mut binding: Vec<u8>, encryption: &BodyEncryption) -> [u8; 24] {
    binding.extend_from_slice(encryption.sender_key.raw());
    binding.extend_from_slice(encryption.recipient_key.raw());
    truncate_to_nonce(Digest::of(&[&binding]))
}

/// Returns the first 24 bytes of a digest, the length of a nonce.
pub(super) fn truncate_to_nonce(Digest(digest): Digest) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    nonce
}
