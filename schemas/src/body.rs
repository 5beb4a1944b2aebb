//! The body's bytes: packed rows, compressed, within declared sizes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::seal::Sealing;

/// A chunk is closed when its packed rows reach this many bytes. Measured: chunks of 100 to
/// 250 KB pay signature, acknowledgement and fsync so seldom that they no longer count.
pub const CLOSE_AT: usize = 250_000;

/// No body may unpack to more than this. A single row may be larger than [`CLOSE_AT`]; it then
/// travels alone. What is larger still is a reject.
pub const MOST_PLAIN: usize = 3_000_000;

/// No message may be larger than this; the exchange's `max_payload` is set to it.
pub const MOST_MESSAGE: usize = 4_000_000;

/// How the body's bytes came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyForm {
    /// Over the bytes as published.
    pub digest: Digest,
    /// Length as published, in bytes.
    pub bytes: u64,
    /// Length of the packed rows, in bytes; a body that unpacks to another length is refused.
    pub plain_bytes: u64,
    /// `messagepack-rows`.
    pub encoding: String,
    /// `zstd` or `none`.
    pub compression: String,
    /// How the compressed rows are sealed to the recipient; none: they are in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<Sealing>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The digest differs from the signed one.
    #[error("the body's digest is {given}, the signed manifest says {expected}: the body was altered or cut")]
    Digest {
        /// Of the bytes that came.
        given: Digest,
        /// In the manifest.
        expected: Digest,
    },
    /// An algorithm this version does not know.
    #[error("{what} {given:?} is not known to this version: upgrade the receiver")]
    Unknown {
        /// `encoding` or `compression`.
        what: &'static str,
        /// What the manifest names.
        given: String,
    },
    /// The declared or the real size is over the limit, or they differ.
    #[error("the body declares {declared} bytes unpacked, {what}")]
    Size {
        /// From the manifest.
        declared: u64,
        /// In which way it is wrong.
        what: &'static str,
    },
    /// The compressor refused.
    #[error("compression failed: {0}")]
    Compression(String),
}

/// zstd level 1: the packed rows shrink to about a third at several hundred MB/s, and the
/// next levels cost more of the core's slack than they save of the network.
const LEVEL: i32 = 1;

/// Compresses packed rows.
///
/// # Errors
/// [`BodyError::Size`] over [`MOST_PLAIN`]; [`BodyError::Compression`] when the compressor refuses.
pub fn close(plain: &[u8]) -> Result<(BodyForm, Vec<u8>), BodyError> {
    if plain.len() > MOST_PLAIN {
        return Err(BodyError::Size {
            declared: plain.len() as u64,
            what: "more than a message may hold",
        });
    }
    let bytes = zstd::bulk::compress(plain, LEVEL).map_err(|error| {
        end_without_memory(&error, plain.len());
        BodyError::Compression(error.to_string())
    })?;
    let form = BodyForm {
        digest: Digest::of(&[&bytes]),
        bytes: bytes.len() as u64,
        plain_bytes: plain.len() as u64,
        encoding: "messagepack-rows".to_owned(),
        compression: "zstd".to_owned(),
        sealing: None,
    };
    Ok((form, bytes))
}

/// Checks the digest of the published bytes.
///
/// # Errors
/// [`BodyError::Digest`].
pub fn check(form: &BodyForm, bytes: &[u8]) -> Result<(), BodyError> {
    let given = Digest::of(&[bytes]);
    if given == form.digest {
        Ok(())
    } else {
        Err(BodyError::Digest {
            given,
            expected: form.digest,
        })
    }
}

/// Unpacks compressed rows to exactly the declared size, never more. Their digest was checked,
/// and what was sealed was opened.
///
/// # Errors
/// [`BodyError`], each with what differs.
pub fn unpack(form: &BodyForm, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
    if form.encoding != "messagepack-rows" {
        return Err(BodyError::Unknown {
            what: "encoding",
            given: form.encoding.clone(),
        });
    }
    let size = |what| BodyError::Size {
        declared: form.plain_bytes,
        what,
    };
    let declared = usize::try_from(form.plain_bytes)
        .ok()
        .filter(|declared| *declared <= MOST_PLAIN)
        .ok_or_else(|| size("more than any body may unpack to"))?;
    let plain = match form.compression.as_str() {
        "none" => bytes.to_vec(),
        // The capacity is the declared size: a bomb fails here without being unpacked.
        "zstd" => zstd::bulk::decompress(bytes, declared).map_err(|error| {
            end_without_memory(&error, declared);
            size("but its compressed bytes are broken or unpack to more")
        })?,
        other => {
            return Err(BodyError::Unknown {
                what: "compression",
                given: other.to_owned(),
            });
        }
    };
    if plain.len() == declared {
        Ok(plain)
    } else {
        Err(size("but unpacks to another size"))
    }
}

/// Ends the process as every other allocation does that fails: a whole message must not be taken for a broken one, and
/// set aside, because this machine has no memory.
fn end_without_memory(error: &std::io::Error, wanted: usize) {
    if is_without_memory(error) {
        let layout = std::alloc::Layout::array::<u8>(wanted).unwrap_or(std::alloc::Layout::new::<u8>());
        std::alloc::handle_alloc_error(layout);
    }
}

/// zstd's own words, exactly: a frame that asks for too large a window is another matter, and the sender's.
fn is_without_memory(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::OutOfMemory
        || error.to_string() == "Allocation error : not enough memory"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_told_from_a_frame_that_asks_for_too_much() {
        let said = |text: &str| std::io::Error::other(text.to_owned());
        assert!(is_without_memory(&said("Allocation error : not enough memory")));
        assert!(!is_without_memory(&said(
            "Frame requires too much memory for decoding"
        )));
        assert!(!is_without_memory(&said("Destination buffer is too small")));
    }

    fn open(form: &BodyForm, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
        check(form, bytes)?;
        unpack(form, bytes)
    }

    #[test]
    fn a_body_comes_back_and_an_altered_one_does_not() {
        let (form, mut bytes) = close(b"rows rows rows rows").unwrap();
        assert_eq!(open(&form, &bytes).unwrap(), b"rows rows rows rows");
        bytes[3] ^= 1;
        assert!(matches!(open(&form, &bytes), Err(BodyError::Digest { .. })));
    }

    #[test]
    fn a_bomb_is_refused_by_its_declared_size() {
        let bomb = zstd::bulk::compress(&vec![0; 50_000_000], 19).unwrap();
        let form = |plain_bytes| BodyForm {
            digest: Digest::of(&[&bomb]),
            bytes: bomb.len() as u64,
            plain_bytes,
            encoding: "messagepack-rows".into(),
            compression: "zstd".into(),
            sealing: None,
        };
        assert!(bomb.len() < 10_000);
        assert!(matches!(
            open(&form(50_000_000), &bomb),
            Err(BodyError::Size { .. })
        ));
        assert!(matches!(open(&form(1_000), &bomb), Err(BodyError::Size { .. })));
    }
}
