//! The errors of a query at the source, and the key for its tokens.

use disclosure::mask::Mask;
use disclosure::mask::key::{MaskKey, TokenKey};
use requests::kind::Kind;
use schemas::name::RecipientName;

/// Why a quantum failed.
pub(super) enum QueryError {
    /// The source failed.
    Source(source::Error),
    /// The kind, as configured, does not fit the source.
    Kind(String),
}

impl From<source::Error> for QueryError {
    fn from(error: source::Error) -> Self {
        Self::Source(error)
    }
}

/// Returns the recipient's token key. Without the bureau's masking key, a kind that masks a column as a token is not answered.
pub(super) fn token(
    masking: Option<&MaskKey>,
    recipient: &RecipientName,
    kind: &Kind,
) -> Result<TokenKey, QueryError> {
    if let Some(key) = masking {
        return Ok(key.for_recipient(recipient));
    }
    let grant = kind.grant_of(recipient);
    if grant.is_some_and(|grant| grant.masks.values().any(|mask| *mask == Mask::Token)) {
        let what = "it masks a column as a token, and there is no key to make tokens";
        return Err(QueryError::Kind(what.to_owned()));
    }
    // Never used: no column is masked as a token.
    let unused = format!("{:032x}", rand::random::<u128>());
    MaskKey::new(&unused)
        .map(|key| key.for_recipient(recipient))
        .map_err(|error| QueryError::Kind(error.to_string()))
}
