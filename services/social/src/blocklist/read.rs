//! Reads and parses block list files. No error holds a person's number.

use std::path::Path;

use disclosure::blocklist::file::{self, BlockListFileError};
use disclosure::blocklist::{BlockList, KeyMismatch};
use schemas::person::PersonKey;

use super::BlockListError;

/// The maximum size of a file in bytes: fifty million persons.
const MAX_BYTES: u64 = 1 << 30;

/// The maximum number of faults listed in an error; the others are counted.
const MAX_LISTED_FAULTS: usize = 5;

/// Reads the file at `path`. Blocks.
///
/// # Errors
/// [`BlockListError`].
pub fn read(path: &Path, key: &PersonKey) -> Result<BlockList, BlockListError> {
    let unreadable = |why: String| BlockListError::Unreadable {
        path: path.to_owned(),
        why,
    };
    let about = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !about.is_file() {
        // Reading a pipe could block permanently.
        return Err(unreadable("it is not a regular file".to_owned()));
    }
    if about.len() > MAX_BYTES {
        return Err(unreadable(format!("it has more than {MAX_BYTES} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&bytes, key).map_err(|bad| match bad {
        ParseError::Damaged(why) => BlockListError::Damaged {
            path: path.to_owned(),
            why,
        },
        ParseError::KeyMismatch(source) => BlockListError::KeyMismatch {
            path: path.to_owned(),
            source,
        },
    })
}

/// What is wrong with the bytes of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError {
    /// They are incomplete.
    Damaged(String),
    /// They were made with another key.
    KeyMismatch(KeyMismatch),
}

/// Reads the bytes of either form of a list.
///
/// # Errors
/// If they are incomplete or made with another key.
pub fn parse(bytes: &[u8], key: &PersonKey) -> Result<BlockList, ParseError> {
    if bytes.first() != Some(&b'{') {
        return file::read(bytes, key).map_err(|bad| ParseError::Damaged(describe(&bad)));
    }
    let list: BlockList = serde_json::from_slice(bytes).map_err(|error| {
        // The error's own text may repeat content of the file.
        let (line, column) = (error.line(), error.column());
        ParseError::Damaged(format!("it is not a complete list: line {line}, column {column}"))
    })?;
    list.check_key(key).map_err(ParseError::KeyMismatch)?;
    Ok(list)
}

fn describe(bad: &BlockListFileError) -> String {
    let faults = bad.faults.iter().take(MAX_LISTED_FAULTS);
    let mut text = faults.map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let more @ 1.. = bad.faults.len().saturating_sub(MAX_LISTED_FAULTS) {
        text.push_str(&format!("; and {more} lines more"));
    }
    text
}
