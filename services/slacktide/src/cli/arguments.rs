//! Checks the command-line arguments before they are parsed.

use std::ffi::OsString;

use schemas::visible;

use crate::failure::Failure;

/// Refuses invisible characters on the command line. Reasons, names and codes are signed, kept and read by other parties,
/// and text copied from a message may contain invisible characters.
///
/// # Errors
/// Exit code 2, with the index of the argument and the character.
pub(crate) fn check_arguments(words: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    for (index, word) in words.into_iter().enumerate() {
        visible::check_visible(
            &format!("word {index} of the command line"),
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
        assert!(check_arguments(words("年末 closing — 100 %")).is_ok());
        for hidden in ["a\u{202e}b", "a\nb", "\u{1b}[2J", "li\u{200b}na"] {
            let error = check_arguments(words(hidden)).unwrap_err().to_string();
            assert!(
                error.starts_with("word 2 of the command line contains"),
                "{error}"
            );
        }
    }
}
