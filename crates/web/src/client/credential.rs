//! The token in use, and where a newer one may be.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use exchange::{Error, ErrorKind, Result};
use hyper::header::HeaderValue;

use super::options::ReadToken;

/// The token as a header.
pub(crate) struct Credential {
    last: Mutex<Option<HeaderValue>>,
    reload: Option<ReadToken>,
}

impl Credential {
    /// Creates it.
    ///
    /// # Errors
    /// `Unauthenticated` for a text that is not a token.
    pub(crate) fn new(token: Option<String>, reload: Option<ReadToken>) -> Result<Self> {
        let header = match token {
            None => None,
            Some(token) => Some(bearer(&token).ok_or_else(|| {
                let text = "the token is empty, or has characters that no token has; take the text that \
                            `slacktide gateway token new` printed";
                Error::new(ErrorKind::Unauthenticated, text)
            })?),
        };
        Ok(Self {
            last: Mutex::new(header),
            reload,
        })
    }

    /// Returns the value of the Authorization header, if the party has a token.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the token again; returns whether it changed. A file that is just being written, or is gone, changes nothing.
    pub(crate) fn reload(&self) -> bool {
        let Some(header) = self.reload.as_ref().and_then(|read| bearer(&read()?)) else {
            return false;
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&header) {
            return false;
        }
        *last = Some(header);
        true
    }
}

fn bearer(token: &str) -> Option<HeaderValue> {
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn credential_uses_a_changed_token_and_ignores_invalid_ones() {
        let file = Arc::new(Mutex::new(None::<String>));
        let read = Arc::clone(&file);
        let credential = Credential::new(
            Some("old".to_owned()),
            Some(Arc::new(move || read.lock().unwrap().clone())),
        )
        .unwrap();
        let used = || credential.header().unwrap();
        assert!(!credential.reload(), "a file that is gone");
        *file.lock().unwrap() = Some("new\n".to_owned());
        assert!(credential.reload() && !credential.reload());
        assert_eq!(used(), "Bearer new");
        for bad in ["", "two words", "line\nbreak"] {
            *file.lock().unwrap() = Some(bad.to_owned());
            assert!(!credential.reload(), "{bad:?}");
            assert_eq!(used(), "Bearer new");
        }
    }

    #[test]
    fn credential_malformed_token_is_refused_without_its_text() {
        let error = Credential::new(Some("SECRET token".to_owned()), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert!(!error.what.contains("SECRET"), "{error}");
    }
}
