//! Writes one file of an export.

use std::io::{self, Write};

use exchange::Stored;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::sign::SigningKey;
use verification::export::format::{
    BLOCK_TARGET, BlockHead, BlockKind, LEVEL, MAGIC, Record, first_digest, next_stream_digest,
};
use verification::export::manifest::{End, Header, Manifest, StreamPart};
use verification::trust::KeyRule;

use super::claims::Claims;

/// Writes a file block by block; at most one block is held in memory.
pub struct Writer<W> {
    out: W,
    header: Header,
    parts: Vec<StreamPart>,
    before: Digest,
    block: Vec<u8>,
    packer: zstd::bulk::Compressor<'static>,
    records: u64,
    bytes: u64,
}

/// A whole file.
#[derive(Debug)]
pub struct Written<W> {
    /// The output.
    pub out: W,
    /// Its signed manifest.
    pub manifest: Manifest,
    /// The digest of its last block, which the next file names.
    pub digest: Digest,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(mut out: W, header: Header) -> io::Result<Self> {
        out.write_all(MAGIC)?;
        let parts = header.streams.iter().map(|stream| StreamPart {
            stream: stream.clone(),
            messages: 0,
            first: 0,
            last: 0,
            next: 0,
            digest: None,
            missed: None,
            is_end_unknown: false,
        });
        let mut writer = Self {
            parts: parts.collect(),
            out,
            before: first_digest(),
            block: Vec::with_capacity(2 * BLOCK_TARGET),
            packer: zstd::bulk::Compressor::new(LEVEL)?,
            records: 0,
            bytes: 0,
            header,
        };
        let text = serde_json::to_vec(&writer.header).map_err(io::Error::other)?;
        writer.write_block(BlockKind::Header, &text, &text)?;
        Ok(writer)
    }

    /// Appends a message of the stream with this index.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn push(&mut self, index: usize, message: &Stored) -> io::Result<()> {
        if self.block.is_empty() {
            self.block.extend_from_slice(&(self.records + 1).to_be_bytes());
        }
        let begin = self.block.len();
        let record = Record {
            stream: u16::try_from(index).map_err(io::Error::other)?,
            sequence: message.sequence,
            stored_at: message.stored_at,
            subject: &message.subject,
            bytes: &message.bytes,
        };
        record.encode(&mut self.block);
        let written = self.block.get(begin..).unwrap_or_default();
        if let Some(part) = self.parts.get_mut(index) {
            if part.messages == 0 {
                part.first = message.sequence;
            }
            part.messages += 1;
            part.last = message.sequence;
            part.digest = Some(next_stream_digest(part.digest, written));
        }
        self.records += 1;
        self.bytes += written.len() as u64;
        if self.block.len() >= BLOCK_TARGET {
            self.close_block()?;
        }
        Ok(())
    }

    /// Returns what the file holds of each stream, to note where it ends.
    pub fn parts_mut(&mut self) -> &mut [StreamPart] {
        &mut self.parts
    }

    /// Ends the file with its end record and its signed manifest.
    ///
    /// # Errors
    /// The output cannot be written, or the key cannot sign.
    pub fn finish(mut self, claims: &Claims, rules: &[KeyRule], key: &SigningKey) -> io::Result<Written<W>> {
        self.close_block()?;
        let end = End {
            records: self.records,
            bytes: self.bytes,
        };
        let text = serde_json::to_vec(&end).map_err(io::Error::other)?;
        self.write_block(BlockKind::End, &text, &text)?;
        let manifest = Manifest {
            header: self.header.clone(),
            end,
            content: self.before,
            streams: std::mem::take(&mut self.parts),
            rules: rules.to_vec(),
            keys: claims.keys.list(),
            heads: claims.heads.clone(),
            key: key.public().clone(),
        };
        let envelope = Envelope::sign(&manifest, Vec::new(), key).map_err(io::Error::other)?;
        let signed = envelope.encode().map_err(io::Error::other)?;
        self.write_block(BlockKind::Manifest, &signed, &signed)?;
        self.out.flush()?;
        Ok(Written {
            out: self.out,
            manifest,
            digest: self.before,
        })
    }

    fn close_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        let packed = self.packer.compress(&block)?;
        self.write_block(BlockKind::Records, &block, &packed)?;
        self.block = block;
        self.block.clear();
        Ok(())
    }

    fn write_block(&mut self, kind: BlockKind, plain: &[u8], stored: &[u8]) -> io::Result<()> {
        let length = u32::try_from(plain.len()).map_err(io::Error::other)?;
        let head = BlockHead::new(kind, length, stored, self.before);
        self.before = head.digest;
        self.out.write_all(&head.encode())?;
        self.out.write_all(stored)
    }
}
