//! PURE: blocks in a file; torn ones are skipped.
//!
//! A block has a magic number, its length, a checksum and its bytes. After invalid data, reading continues at the next
//! magic number, so a truncated append does not affect later blocks.

use crate::block::Block;

/// The magic number of a block: not text, and not the start of a compressed block.
const MAGIC: [u8; 4] = [0xF5, b'S', b'T', 0x0A];

const HEADER_LENGTH: usize = 12;

/// Maximum size of a compressed block.
const MAX_BLOCK_BYTES: usize = 8 << 20;

/// Frames the bytes of a block.
#[must_use]
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEADER_LENGTH + bytes.len());
    framed.extend(MAGIC);
    framed.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    framed.extend(checksum(bytes).to_le_bytes());
    framed.extend(bytes);
    framed
}

/// The blocks of a file, and the bytes that belong to none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The valid blocks, in order.
    pub blocks: Vec<Block>,
    /// Bytes of torn or corrupt blocks.
    pub skipped: u64,
}

/// Finds the blocks in the bytes of a file.
#[must_use]
pub fn find(file: &[u8]) -> Found {
    let mut found = Found::default();
    let mut rest = file;
    while !rest.is_empty() {
        if let Some((block, after)) = next(rest) {
            found.blocks.push(block);
            rest = after;
            continue;
        }
        let step = rest[1..]
            .windows(MAGIC.len())
            .position(|bytes| bytes == MAGIC)
            .map_or(rest.len(), |at| at + 1);
        found.skipped += step as u64;
        rest = &rest[step..];
    }
    found
}

fn next(rest: &[u8]) -> Option<(Block, &[u8])> {
    let rest = rest.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > MAX_BLOCK_BYTES {
        return None;
    }
    let (bytes, rest) = rest.split_at_checked(length)?;
    if checksum(bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((Block::decode(bytes).ok()?, rest))
}

/// FNV-1a: detects a corrupt block, not a forged one.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
