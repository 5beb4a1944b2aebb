//! The words of the command line, before any of them means anything.

use std::ffi::OsString;

use schemas::visible;

use crate::failure::Failure;

/// Checks that every character of the command line can be seen. Reasons, names and codes given here are signed, kept
/// and read by other parties, and a text that was copied from a message may hold what its reader could not see.
///
/// # Errors
/// Exit code 2, with the place and the character.
pub(crate) fn check_words(words: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    for (place, word) in words.into_iter().enumerate() {
        visible::check(
            &format!("word {place} of the command line"),
            &word.to_string_lossy(),
        )
        .map_err(|error| Failure::usage(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_hidden_character_is_refused() {
        let words = |last: &str| ["slacktide", "--reason", last].map(OsString::from);
        assert!(check_words(words("年末 closing — 100 %")).is_ok());
        for hidden in ["a\u{202e}b", "a\nb", "\u{1b}[2J", "li\u{200b}na"] {
            let error = check_words(words(hidden)).unwrap_err().to_string();
            assert!(error.starts_with("word 2 of the command line holds"), "{error}");
        }
    }
}
