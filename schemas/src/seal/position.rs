//! The cursor sealed by the publisher to itself.
//!
//! A publisher that takes over reads its position off the last chunk, and a new epoch reads it
//! off a receipt. Nobody else has to understand it, so with a sealed body it is sealed too, with
//! the bureau's own sealing key, which every one of its agents has. It stays a [`Cursor`] of one
//! text, `sealed.v1.<key>.<bytes>`, so that stores and receipts carry it as any other.
//!
//! The same position of the same lane seals to the same text: an auditor compares where one
//! chunk ends with where the next one begins without opening either. For that the nonce is
//! made from a secret, the lane and the position itself (a synthetic nonce, as in SIV modes):
//! the same nonce only ever meets the same text, and it is made again after opening, so that a
//! position of another lane is refused. Texts are padded to 64 bytes, so that their length does
//! not tell the value's.

use crypto_box::ChaChaBox;
use crypto_box::aead::Aead;
use data_encoding::BASE64URL_NOPAD;

use super::SealError;
use super::key::{SealKey, SealPublicKey};
use super::parcel::first;
use super::ring::SealRing;
use crate::cursor::{Cursor, SEALED, Scalar};
use crate::digest::Digest;
use crate::name::Lane;

const PAD: usize = 64;

/// Seals a position of a lane with the publisher's own key; a sealed one is handed back.
///
/// # Errors
/// [`SealError::Failed`] when it cannot be written down.
pub fn seal(cursor: &Cursor, lane: &Lane, key: &SealKey) -> Result<Cursor, SealError> {
    if cursor.is_sealed() {
        return Ok(cursor.clone());
    }
    let mut plain = serde_json::to_vec(cursor).map_err(|_| SealError::Failed("the position is no JSON"))?;
    plain.resize(plain.len().next_multiple_of(PAD), b' ');
    let nonce = nonce(key, lane, &plain);
    let sealed = ChaChaBox::new(&key.public().point(), &key.secret)
        .encrypt(&nonce.into(), plain.as_slice())
        .map_err(|_| SealError::Failed("the position is too large"))?;
    let bytes = [nonce.as_slice(), &sealed].concat();
    let text = format!("{SEALED}{}.{}", key.public(), BASE64URL_NOPAD.encode(&bytes));
    Ok(Cursor(vec![Scalar::Text(text)]))
}

/// Opens a position of a lane; one in clear is handed back.
///
/// # Errors
/// [`SealError`], each with what differs.
pub fn open(cursor: &Cursor, lane: &Lane, ring: &SealRing) -> Result<Cursor, SealError> {
    let Some(text) = cursor.sealed() else {
        return Ok(cursor.clone());
    };
    let malformed = SealError::Malformed("a position");
    let (to, bytes) = text.split_once('.').ok_or_else(|| malformed.clone())?;
    let to = SealPublicKey::new(to).map_err(|_| malformed.clone())?;
    let bytes = BASE64URL_NOPAD
        .decode(bytes.as_bytes())
        .map_err(|_| malformed.clone())?;
    let Some(key) = ring.find(&to) else {
        return Err(SealError::OtherKey {
            to,
            have: ring.publics(),
        });
    };
    let (given, sealed) = bytes.split_first_chunk::<24>().ok_or_else(|| malformed.clone())?;
    let plain = ChaChaBox::new(&to.point(), &key.secret)
        .decrypt(&(*given).into(), sealed)
        .ok()
        .filter(|plain| nonce(key, lane, plain) == *given)
        .ok_or(SealError::Broken { to })?;
    serde_json::from_slice(&plain).map_err(|_| malformed)
}

/// Whether the position `after` of a chunk is where the next one begins; none when that cannot
/// be told without opening: one of them is in clear, or they are sealed with different keys.
#[must_use]
pub fn same(after: Option<&Cursor>, before: Option<&Cursor>) -> Option<bool> {
    let key = |cursor: Option<&Cursor>| {
        let text = cursor.and_then(Cursor::sealed)?;
        text.split_once('.').map(|(key, _)| key.to_owned())
    };
    if key(after) == key(before) || after.is_none() || before.is_none() {
        Some(after == before)
    } else {
        None
    }
}

/// Twice hashed with the secret in front, so that nothing can be appended unseen.
fn nonce(key: &SealKey, lane: &Lane, plain: &[u8]) -> [u8; 24] {
    let secret = key.secret.to_bytes();
    let place = [lane.recipient.as_str(), lane.feed.as_str(), ""].join("\0");
    let inner = Digest::of(&[b"slacktide.cursor.v1", &secret, place.as_bytes(), plain]);
    first(Digest::of(&[b"slacktide.cursor.v1", &secret, &inner.0]))
}
