//! A file becomes a list, or a reason why not. No reason holds anybody's number.

use std::path::Path;

use requests::blocklist::file::{self, BadFile};
use requests::blocklist::{BlockList, OtherKey};
use schemas::person::PersonKey;

use super::BlockListError;

/// Bytes of a file at most: fifty million persons.
const MOST_BYTES: u64 = 1 << 30;

/// Faults that a message names; the others are counted.
const MOST_TOLD: usize = 5;

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
        // A pipe would keep us waiting for ever.
        return Err(unreadable("it is no regular file".to_owned()));
    }
    if about.len() > MOST_BYTES {
        return Err(unreadable(format!("it has more than {MOST_BYTES} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    parse(&bytes, key).map_err(|bad| match bad {
        Bad::Damaged(why) => BlockListError::Damaged {
            path: path.to_owned(),
            why,
        },
        Bad::OtherKey(source) => BlockListError::OtherKey {
            path: path.to_owned(),
            source,
        },
    })
}

/// What is wrong with the bytes of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bad {
    /// They are not whole.
    Damaged(String),
    /// Nobody here can tell whom they mean.
    OtherKey(OtherKey),
}

/// Reads the bytes of either form of a list.
///
/// # Errors
/// When they are not whole, or made with another key.
pub fn parse(bytes: &[u8], key: &PersonKey) -> Result<BlockList, Bad> {
    if bytes.first() != Some(&b'{') {
        return file::read(bytes, key).map_err(|bad| Bad::Damaged(told(&bad)));
    }
    let list: BlockList = serde_json::from_slice(bytes).map_err(|error| {
        // The error's own words may repeat what stands there.
        let (line, column) = (error.line(), error.column());
        Bad::Damaged(format!("it is no whole list at line {line}, column {column}"))
    })?;
    list.own(key).map_err(Bad::OtherKey)?;
    Ok(list)
}

fn told(bad: &BadFile) -> String {
    let faults = bad.faults.iter().take(MOST_TOLD);
    let mut told = faults.map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let more @ 1.. = bad.faults.len().saturating_sub(MOST_TOLD) {
        told.push_str(&format!("; and {more} lines more"));
    }
    told
}
