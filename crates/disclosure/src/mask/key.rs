//! Tokens: HMAC-SHA-256 under a key per recipient.
//!
//! Numbers of persons are few enough for a brute-force search, so a plain digest would reveal them. The secret is the bureau's own
//! and separate from the signing key: a signing key may be rotated, but tokens must not change or joins break.

use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::hmac;
use schemas::value::Value;
use zeroize::Zeroizing;

/// Separates this use of the secret from any other.
const LABEL: &[u8] = b"slacktide.mask.v1\0";

/// The shortest secret in characters: 16 bytes in hex.
pub const MIN_SECRET_CHARS: usize = 32;

/// Characters of a token: 128 bits in hex.
const TOKEN: usize = 32;

/// The bureau's secret, from which each recipient's key is derived.
pub struct MaskKey(Zeroizing<String>);

/// The key of one recipient's tokens.
pub struct TokenKey(Zeroizing<[u8; 32]>);

/// A secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the masking secret has {0} characters: create a random one of at least {MIN_SECRET_CHARS} characters, and never change it, because another secret gives other tokens"
)]
pub struct ShortSecret(pub usize);

impl MaskKey {
    /// Creates a key from the secret's text.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn new(secret: &str) -> Result<Self, ShortSecret> {
        let length = secret.chars().count();
        if length < MIN_SECRET_CHARS {
            return Err(ShortSecret(length));
        }
        Ok(Self(Zeroizing::new(secret.to_owned())))
    }

    /// Returns the key of one recipient.
    #[must_use]
    pub fn for_recipient(&self, recipient: &RecipientName) -> TokenKey {
        let place = [LABEL, recipient.as_str().as_bytes()].concat();
        TokenKey(Zeroizing::new(hmac(self.0.as_bytes(), &place).0))
    }
}

impl TokenKey {
    /// Returns the token of a value, or `None` for null. A number has one token, as an integer or as a text, padded or not.
    #[must_use]
    pub fn token(&self, value: Value<'_>) -> Option<String> {
        let made = |bytes: &[u8]| -> Digest { hmac(&self.0[..], bytes) };
        let digest = match value {
            Value::Null => return None,
            Value::Text(text) => made(text.trim().as_bytes()),
            Value::Int(number) => made(number.to_string().as_bytes()),
            Value::Float(number) => made(number.to_string().as_bytes()),
            Value::Bool(value) => made(value.to_string().as_bytes()),
            Value::Bytes(bytes) => made(bytes),
        };
        let mut text = digest.to_string();
        text.truncate(TOKEN);
        Some(text)
    }
}

impl std::fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKey([redacted])")
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey([redacted])")
    }
}
