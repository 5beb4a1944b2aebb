//! Reads an export file block by block. A damaged block is reported, and the next one is read, as far as lengths allow.

use std::io::{self, Read};

use schemas::digest::Digest;

use super::format::{BLOCK_HEAD, BlockHead, BlockKind, MAGIC, MAX_BLOCK, first_digest};

/// A block that was read.
#[derive(Debug)]
pub struct Block {
    /// Its kind.
    pub kind: BlockKind,
    /// Its number in the file, counted from 1.
    pub number: u64,
    /// The position of its head in the file.
    pub offset: u64,
    /// Its content, unpacked. `Err` if it cannot be unpacked.
    pub content: Result<Vec<u8>, String>,
    /// Whether its digest is valid.
    pub is_valid: bool,
    /// Its digest as declared.
    pub digest: Digest,
}

/// What follows in a file.
#[derive(Debug)]
pub enum Next {
    /// A block.
    Block(Block),
    /// The file ends at the end of a block.
    End,
    /// The file cannot be read on from here: it is not an export, or ends in a block, or bytes are no block.
    Damaged {
        /// The position.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

/// Reads a file.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    offset: u64,
    number: u64,
    before: Option<Digest>,
}

impl<R: Read> Reader<R> {
    /// Reads from the begin of a file.
    pub fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            number: 0,
            before: None,
        }
    }

    /// Returns the position in the file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next block.
    ///
    /// # Errors
    /// The input cannot be read.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would not end at an error"
    )]
    pub fn next(&mut self) -> io::Result<Next> {
        if self.before.is_none() {
            let mut magic = [0; MAGIC.len()];
            let read = self.fill(&mut magic)?;
            if read < magic.len() || magic != *MAGIC {
                return Ok(Next::Damaged {
                    offset: 0,
                    what: "it does not begin as an export of this version: SLACKTIDE-EXP/1".to_owned(),
                });
            }
            self.before = Some(first_digest());
        }
        let offset = self.offset;
        let mut head = [0; BLOCK_HEAD];
        let read = self.fill(&mut head)?;
        if read == 0 {
            return Ok(Next::End);
        }
        let damaged = |what: &str| {
            Ok(Next::Damaged {
                offset,
                what: what.to_owned(),
            })
        };
        if read < BLOCK_HEAD {
            return damaged("it ends in the head of a block");
        }
        let Some(head) = BlockHead::decode(&head) else {
            return damaged("the bytes are not the head of a block");
        };
        let mut stored = Vec::new();
        let wanted = u64::from(head.stored);
        let read = (&mut self.input).take(wanted).read_to_end(&mut stored)?;
        self.offset += read as u64;
        if (read as u64) < wanted {
            return damaged("it ends in a block");
        }
        let before = self.before.replace(head.digest).unwrap_or_else(first_digest);
        self.number += 1;
        Ok(Next::Block(Block {
            kind: head.kind,
            number: self.number,
            offset,
            is_valid: head.matches(&stored, before),
            digest: head.digest,
            content: unpack(&head, stored),
        }))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

fn unpack(head: &BlockHead, stored: Vec<u8>) -> Result<Vec<u8>, String> {
    let declared = usize::try_from(head.plain).unwrap_or(MAX_BLOCK).min(MAX_BLOCK);
    let plain = match head.kind {
        // The capacity is the declared size: a decompression bomb fails here without being unpacked.
        BlockKind::Records => zstd::bulk::decompress(&stored, declared)
            .map_err(|_| "its compressed bytes are corrupt, or unpack to more than declared".to_owned())?,
        BlockKind::Header | BlockKind::End | BlockKind::Manifest => stored,
    };
    if plain.len() == declared {
        Ok(plain)
    } else {
        Err(format!("it declares {declared} bytes and has {}", plain.len()))
    }
}
