//! PURE: tokens of forms. Each form of a session has its own, derived from a secret that is in no page.

use sha2::{Digest as _, Sha256};

/// Returns the token of a form.
pub(crate) fn token(secret: &str, form: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"slacktide.console.form.v1\0");
    hash.update(secret.as_bytes());
    hash.update(b"\0");
    hash.update(form.as_bytes());
    hex::encode(hash.finalize())
}

/// Compares a given token in a time that does not depend on its content.
pub(crate) fn is_valid(secret: &str, form: &str, given: &str) -> bool {
    let expected = token(secret, form);
    let difference = expected
        .bytes()
        .zip(given.bytes())
        .fold(0_u8, |difference, (a, b)| {
            std::hint::black_box(difference | (a ^ b))
        });
    expected.len() == given.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csrf_token_is_of_one_form_and_one_secret() {
        let valid = token("a", "logout");
        assert!(is_valid("a", "logout", &valid));
        assert!(!is_valid("a", "prepare", &valid));
        assert!(!is_valid("b", "logout", &valid));
        for other in ["", &valid[1..], &valid.replace(|_| true, "0")] {
            assert!(!is_valid("a", "logout", other), "{other}");
        }
    }
}
