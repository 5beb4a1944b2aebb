//! PURE: blocks in a file, torn ones skipped.
//!
//! A block is a mark, its length, a checksum, its bytes. After something that is no block the
//! next mark is looked for: an append that the disk cut short spoils nothing that follows it.

use super::block::Block;

/// What a block begins with; not text, and no beginning of a compressed block.
const MARK: [u8; 4] = [0xF5, b'S', b'T', 0x0A];

const HEAD: usize = 12;

/// Longest block, compressed.
const MOST: usize = 8 << 20;

/// A block as it stands in a file.
#[must_use]
pub fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(HEAD + bytes.len());
    framed.extend(MARK);
    framed.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    framed.extend(checksum(bytes).to_le_bytes());
    framed.extend(bytes);
    framed
}

/// The blocks of a file, and how many bytes were none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Found {
    /// The whole blocks, in order.
    pub blocks: Vec<Block>,
    /// Bytes that belong to none: torn or spoilt.
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
            .windows(MARK.len())
            .position(|bytes| bytes == MARK)
            .map_or(rest.len(), |at| at + 1);
        found.skipped += step as u64;
        rest = &rest[step..];
    }
    found
}

fn next(rest: &[u8]) -> Option<(Block, &[u8])> {
    let rest = rest.strip_prefix(&MARK)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > MOST {
        return None;
    }
    let (bytes, rest) = rest.split_at_checked(length)?;
    if checksum(bytes) != u32::from_le_bytes(*sum) {
        return None;
    }
    Some((Block::decode(bytes).ok()?, rest))
}

/// FNV-1a: it tells a spoilt block from a whole one, not a forged one.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
