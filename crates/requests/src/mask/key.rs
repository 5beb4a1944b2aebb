//! Tokens: HMAC-SHA-256 under a key of the recipient's own.
//!
//! Numbers of persons are few enough to be tried one after the other, so a plain digest would name
//! them. The secret is the bureau's, of its own and not the signing key's: a signing key may be
//! changed, while tokens have to stay or joins break.

use schemas::digest::Digest;
use schemas::name::RecipientName;
use schemas::person::hmac;
use schemas::value::Value;
use zeroize::Zeroizing;

/// Separates this use of the secret from any other.
const LABEL: &[u8] = b"slacktide.mask.v1\0";

/// Characters of a secret, at least: 16 bytes in hex.
pub const LEAST_SECRET: usize = 32;

/// Characters of a token: 128 bits in hex.
const TOKEN: usize = 32;

/// The bureau's secret, from which each recipient's key is derived.
pub struct MaskKey(Zeroizing<String>);

/// What makes the tokens of one recipient.
pub struct TokenKey(Zeroizing<[u8; 32]>);

/// A secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the masking secret has {0} characters: make one of at least {LEAST_SECRET}, at random, and keep it for ever, for other tokens come from another one"
)]
pub struct ShortSecret(pub usize);

impl MaskKey {
    /// From its text.
    ///
    /// # Errors
    /// [`ShortSecret`].
    pub fn new(secret: &str) -> Result<Self, ShortSecret> {
        let length = secret.chars().count();
        if length < LEAST_SECRET {
            return Err(ShortSecret(length));
        }
        Ok(Self(Zeroizing::new(secret.to_owned())))
    }

    /// The key of one recipient.
    #[must_use]
    pub fn of(&self, recipient: &RecipientName) -> TokenKey {
        let place = [LABEL, recipient.as_str().as_bytes()].concat();
        TokenKey(Zeroizing::new(hmac(self.0.as_bytes(), &place).0))
    }
}

impl TokenKey {
    /// The token of a value; none for null. A number has one token, whether a column holds it as an
    /// integer or as a text, padded or not.
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
