//! The body's bytes: packed and compressed rows within declared sizes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::encryption::BodyEncryption;

/// A chunk is complete when its packed rows reach this many bytes. Measured: with chunks of 100 to
/// 250 KB the cost of signature, acknowledgement and fsync is negligible.
pub const CHUNK_TARGET_BYTES: usize = 250_000;

/// Maximum size of an unpacked body. A single row may be larger than [`CHUNK_TARGET_BYTES`] and is then sent
/// alone. A row above this limit is a reject.
pub const MAX_PLAIN_BYTES: usize = 3_000_000;

/// Maximum size of a message; the exchange's `max_payload` is set to it.
pub const MAX_MESSAGE_BYTES: usize = 4_000_000;

/// How the body's bytes are encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyFormat {
    /// Digest of the published bytes.
    pub digest: Digest,
    /// Length of the published bytes.
    pub bytes: u64,
    /// Length of the packed rows, in bytes; a body that unpacks to another length is refused.
    pub plain_bytes: u64,
    /// `messagepack-rows`.
    pub encoding: String,
    /// `zstd` or `none`.
    pub compression: String,
    /// How the compressed rows are encrypted to the recipient; `None` if they are in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<BodyEncryption>,
}

impl Default for BodyFormat {
    /// Returns the format of no bytes, a placeholder until the message is signed.
    fn default() -> Self {
        Self {
            digest: Digest::of(&[]),
            bytes: 0,
            plain_bytes: 0,
            encoding: String::new(),
            compression: String::new(),
            encryption: None,
        }
    }
}

/// The compressed rows of a message, not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressedBody {
    /// Describes the bytes.
    pub format: BodyFormat,
    /// The compressed rows.
    pub bytes: Vec<u8>,
}

/// An invalid body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The digest differs from the signed one.
    #[error(
        "the body's digest is {given}, the signed manifest's is {expected}: the body was altered or truncated"
    )]
    Digest {
        /// Digest of the received bytes.
        given: Digest,
        /// Digest in the manifest.
        expected: Digest,
    },
    /// An algorithm that this version does not support.
    #[error("this version does not support the {what} {given:?}: upgrade the receiver")]
    Unknown {
        /// `encoding` or `compression`.
        what: &'static str,
        /// The name in the manifest.
        given: String,
    },
    /// The declared or the real size exceeds the limit, or they differ.
    #[error("the body declares {declared} bytes unpacked, {what}")]
    Size {
        /// From the manifest.
        declared: u64,
        /// How it is wrong.
        what: &'static str,
    },
    /// Compression failed.
    #[error("compression failed: {0}")]
    Compression(String),
}

/// zstd level 1: the packed rows shrink to about a third at several hundred MB/s, and the
/// next levels cost more of the core's slack than they save of the network.
const LEVEL: i32 = 1;

/// The binary logarithm of the number of positions that the compressor remembers, which is 2^14 at this level for a chunk.
/// Fewer fit into the processor's first cache. Measured on rows: a quarter less CPU time, and the same size.
const HASH_LOG: u32 = 12;

/// Compresses packed rows.
///
/// # Errors
/// [`BodyError::Size`] over [`MAX_PLAIN_BYTES`]; [`BodyError::Compression`] when compression fails.
pub fn compress(plain: &[u8]) -> Result<CompressedBody, BodyError> {
    if plain.len() > MAX_PLAIN_BYTES {
        return Err(BodyError::Size {
            declared: plain.len() as u64,
            what: "more than a message may hold",
        });
    }
    let compressed = zstd::bulk::Compressor::new(LEVEL).and_then(|mut compressor| {
        compressor.set_parameter(zstd::zstd_safe::CParameter::HashLog(HASH_LOG))?;
        compressor.compress(plain)
    });
    let bytes = compressed.map_err(|error| {
        abort_if_out_of_memory(&error, plain.len());
        BodyError::Compression(error.to_string())
    })?;
    let format = BodyFormat {
        digest: Digest::of(&[&bytes]),
        bytes: bytes.len() as u64,
        plain_bytes: plain.len() as u64,
        encoding: "messagepack-rows".to_owned(),
        compression: "zstd".to_owned(),
        encryption: None,
    };
    Ok(CompressedBody { format, bytes })
}

/// Checks the digest of the published bytes.
///
/// # Errors
/// [`BodyError::Digest`].
pub fn check(format: &BodyFormat, bytes: &[u8]) -> Result<(), BodyError> {
    let given = Digest::of(&[bytes]);
    if given == format.digest {
        Ok(())
    } else {
        Err(BodyError::Digest {
            given,
            expected: format.digest,
        })
    }
}

/// Unpacks compressed rows to exactly the declared size, never more. The caller checks the digest and decrypts first.
///
/// # Errors
/// [`BodyError`] names what differs.
pub fn unpack(format: &BodyFormat, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
    if format.encoding != "messagepack-rows" {
        return Err(BodyError::Unknown {
            what: "encoding",
            given: format.encoding.clone(),
        });
    }
    let size = |what| BodyError::Size {
        declared: format.plain_bytes,
        what,
    };
    let declared = usize::try_from(format.plain_bytes)
        .ok()
        .filter(|declared| *declared <= MAX_PLAIN_BYTES)
        .ok_or_else(|| size("more than any body may unpack to"))?;
    let plain = match format.compression.as_str() {
        "none" => bytes.to_vec(),
        // The capacity is the declared size: a decompression bomb fails here without being unpacked.
        "zstd" => zstd::bulk::decompress(bytes, declared).map_err(|error| {
            abort_if_out_of_memory(&error, declared);
            size("but its compressed bytes are corrupt or unpack to more")
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

/// Aborts the process as every other failed allocation does. Otherwise a valid message would be quarantined as corrupt
/// because this machine has no memory.
fn abort_if_out_of_memory(error: &std::io::Error, requested: usize) {
    if is_out_of_memory(error) {
        let layout = std::alloc::Layout::array::<u8>(requested).unwrap_or(std::alloc::Layout::new::<u8>());
        std::alloc::handle_alloc_error(layout);
    }
}

/// Compares zstd's exact text: a frame that requires too large a window is the sender's error and has another text.
fn is_out_of_memory(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::OutOfMemory
        || error.to_string() == "Allocation error : not enough memory"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_out_of_memory_differs_from_an_oversized_frame() {
        let error = |text: &str| std::io::Error::other(text.to_owned());
        assert!(is_out_of_memory(&error("Allocation error : not enough memory")));
        assert!(!is_out_of_memory(&error(
            "Frame requires too much memory for decoding"
        )));
        assert!(!is_out_of_memory(&error("Destination buffer is too small")));
    }

    fn open(format: &BodyFormat, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
        check(format, bytes)?;
        unpack(format, bytes)
    }

    #[test]
    fn body_round_trips_and_an_altered_one_is_refused() {
        let CompressedBody { format, mut bytes } = compress(b"rows rows rows rows").unwrap();
        assert_eq!(open(&format, &bytes).unwrap(), b"rows rows rows rows");
        bytes[3] ^= 1;
        assert!(matches!(open(&format, &bytes), Err(BodyError::Digest { .. })));
    }

    #[test]
    fn body_decompression_bomb_is_refused_by_declared_size() {
        let bomb = zstd::bulk::compress(&vec![0; 50_000_000], 19).unwrap();
        let format = |plain_bytes| BodyFormat {
            digest: Digest::of(&[&bomb]),
            bytes: bomb.len() as u64,
            plain_bytes,
            encoding: "messagepack-rows".into(),
            compression: "zstd".into(),
            encryption: None,
        };
        assert!(bomb.len() < 10_000);
        assert!(matches!(
            open(&format(50_000_000), &bomb),
            Err(BodyError::Size { .. })
        ));
        assert!(matches!(open(&format(1_000), &bomb), Err(BodyError::Size { .. })));
    }
}
