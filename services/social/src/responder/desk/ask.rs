//! What is asked of the source for a kind, and what may come of it.

use requests::kind::Kind;
use requests::mask::Mask;
use requests::mask::key::{MaskKey, TokenKey};
use schemas::name::RecipientName;

/// Why a quantum came to nothing.
pub(super) enum Trouble {
    /// The source's.
    Source(source::Error),
    /// The kind, as configured, does not fit the source.
    Kind(String),
}

impl From<source::Error> for Trouble {
    fn from(error: source::Error) -> Self {
        Self::Source(error)
    }
}

/// What makes the recipient's tokens. Without a key of the bureau's no kind that needs one is answered.
pub(super) fn token(
    masking: Option<&MaskKey>,
    recipient: &RecipientName,
    kind: &Kind,
) -> Result<TokenKey, Trouble> {
    if let Some(key) = masking {
        return Ok(key.of(recipient));
    }
    let grant = kind.grant_of(recipient);
    if grant.is_some_and(|grant| grant.masks.values().any(|mask| *mask == Mask::Token)) {
        let what = "it masks a column as a token, and there is no key to make tokens";
        return Err(Trouble::Kind(what.to_owned()));
    }
    // Never asked: no column is masked as a token.
    let unused = format!("{:032x}", rand::random::<u128>());
    MaskKey::new(&unused)
        .map(|key| key.of(recipient))
        .map_err(|error| Trouble::Kind(error.to_string()))
}
