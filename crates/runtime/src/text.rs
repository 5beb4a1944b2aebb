//! PURE: text files of other programs: UTF-8 with at most one byte order mark, each fault with its line and column.

/// The mark that some editors and spreadsheets put in front of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The content of a file that is not a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}")]
pub struct BadText {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: &'static str,
}

/// Returns the text of a file without the byte order mark in front of it.
///
/// # Errors
/// The position of the first byte that is not UTF-8, of a NUL, or of a byte order mark elsewhere.
pub fn decode(bytes: &[u8]) -> Result<&str, BadText> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(BadText {
            line: 1,
            column: 1,
            what: "the file is UTF-16: save it as UTF-8",
        });
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            return Err(bad(good, "this is not UTF-8: save the file as UTF-8"));
        }
    };
    let odd = text.char_indices().find(|(_, c)| matches!(c, '\0' | '\u{feff}'));
    match odd {
        None => Ok(text),
        Some((at, c)) => {
            let what = if c == '\0' {
                "a NUL character: remove it"
            } else {
                "a byte order mark inside the file, as joined files have it: remove it"
            };
            Err(bad(text.as_bytes().get(..at).unwrap_or_default(), what))
        }
    }
}

fn bad(before: &[u8], what: &'static str) -> BadText {
    let before = std::str::from_utf8(before).unwrap_or_default();
    let (line, column) = place(before);
    BadText { line, column, what }
}

/// Returns the line and column, both from 1, of what follows this text.
#[must_use]
pub fn place(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_file_fault_has_its_line_and_column() {
        assert_eq!(decode(b"\xEF\xBB\xBFa\n"), Ok("a\n"));
        assert_eq!(decode("张\r\n".as_bytes()), Ok("张\r\n"));
        for (bytes, line, column) in [
            (&b"a\nbc\xFF"[..], 2, 3),
            ("a\r\n张\0".as_bytes(), 2, 2),
            ("\u{feff}\u{feff}a".as_bytes(), 1, 1),
            ("a\n\u{feff}b".as_bytes(), 2, 1),
            (b"\xFF\xFEa\0", 1, 1),
        ] {
            let bad = decode(bytes).unwrap_err();
            assert_eq!((bad.line, bad.column), (line, column), "{bytes:?}");
        }
    }
}
