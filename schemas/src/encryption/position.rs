//! Encryption of the cursor, by the publisher to itself.
//!
//! A publisher that takes over reads its position from the last chunk, and a new epoch reads it from a receipt. No other
//! process needs its value, so it is encrypted whenever the body is, with the bureau's own encryption key, which all of its
//! agents have. It stays a [`Cursor`] of one text, `encrypted.v1.<key>.<bytes>`: stores and receipts carry it like any other.
//!
//! Equal positions of one lane encrypt to equal texts, so an auditor compares the end of one chunk with the begin of the
//! next without decrypting. The nonce is therefore derived from a secret, the lane and the position itself (a synthetic
//! nonce, as in SIV modes): one nonce is used with one text only. Decryption derives it again and refuses a position
//! of another lane. Texts are padded to a multiple of 64 bytes to hide the value's length.

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead;
use data_encoding::BASE64URL_NOPAD;

use super::EncryptionError;
use super::body::truncate_to_nonce;
use super::key::{EncryptionKey, EncryptionPublicKey};
use super::keys::DecryptionKeys;
use crate::cursor::{Cursor, ENCRYPTED_PREFIX, Scalar};
use crate::digest::Digest;
use crate::name::Lane;

const PAD: usize = 64;

/// Encrypts a position of a lane with the publisher's own key. Returns an encrypted one unchanged.
///
/// # Errors
/// [`EncryptionError::EncryptionFailed`] when it cannot be serialised or is too large.
pub fn encrypt(cursor: &Cursor, lane: &Lane, key: &EncryptionKey) -> Result<Cursor, EncryptionError> {
    if cursor.is_encrypted() {
        return Ok(cursor.clone());
    }
    let mut plain = serde_json::to_vec(cursor)
        .map_err(|_| EncryptionError::EncryptionFailed("the position cannot be written as JSON"))?;
    plain.resize(plain.len().next_multiple_of(PAD), b' ');
    let nonce = derive_nonce(key, lane, &plain);
    let encrypted = ChaChaBox::new(&key.public().point(), &key.secret)
        .encrypt(&nonce.into(), plain.as_slice())
        .map_err(|_| EncryptionError::EncryptionFailed("the position is too large"))?;
    let bytes = [nonce.as_slice(), &encrypted].concat();
    let text = format!(
        "{ENCRYPTED_PREFIX}{}.{}",
        key.public(),
        BASE64URL_NOPAD.encode(&bytes)
    );
    Ok(Cursor(vec![Scalar::Text(text)]))
}

/// Decrypts a position of a lane. Returns one in clear unchanged.
///
/// # Errors
/// [`EncryptionError`] names what differs.
pub fn decrypt(cursor: &Cursor, lane: &Lane, keys: &DecryptionKeys) -> Result<Cursor, EncryptionError> {
    let Some(text) = cursor.encrypted_text() else {
        return Ok(cursor.clone());
    };
    let malformed = EncryptionError::Malformed("a position");
    let (to, bytes) = text.split_once('.').ok_or_else(|| malformed.clone())?;
    let to = EncryptionPublicKey::new(to).map_err(|_| malformed.clone())?;
    let bytes = BASE64URL_NOPAD
        .decode(bytes.as_bytes())
        .map_err(|_| malformed.clone())?;
    let Some(key) = keys.find(&to) else {
        return Err(EncryptionError::KeyMissing {
            to,
            have: keys.public_keys(),
        });
    };
    let (nonce, encrypted) = bytes.split_first_chunk::<24>().ok_or_else(|| malformed.clone())?;
    let plain = ChaChaBox::new(&to.point(), &key.secret)
        .decrypt(&(*nonce).into(), encrypted)
        .ok()
        .filter(|plain| derive_nonce(key, lane, plain) == *nonce)
        .ok_or(EncryptionError::DecryptionFailed { to })?;
    serde_json::from_slice(&plain).map_err(|_| malformed)
}

/// Returns whether the position `after` of a chunk is where the next one begins. Returns `None` where only decryption can
/// show it: one of them is in clear, or they are encrypted with different keys.
#[must_use]
pub fn same(after: Option<&Cursor>, before: Option<&Cursor>) -> Option<bool> {
    let key = |cursor: Option<&Cursor>| {
        let text = cursor.and_then(Cursor::encrypted_text)?;
        text.split_once('.').map(|(key, _)| key.to_owned())
    };
    if key(after) == key(before) || after.is_none() || before.is_none() {
        Some(after == before)
    } else {
        None
    }
}

/// Derives the nonce; hashes twice with the secret in front against length extension.
fn derive_nonce(key: &EncryptionKey, lane: &Lane, plain: &[u8]) -> [u8; 24] {
    let secret = key.secret.to_bytes();
    let lane = [lane.recipient.as_str(), lane.feed.as_str(), ""].join("\0");
    let inner = Digest::of(&[b"slacktide.cursor.v1", &secret, lane.as_bytes(), plain]);
    truncate_to_nonce(Digest::of(&[b"slacktide.cursor.v1", &secret, &inner.0]))
}
