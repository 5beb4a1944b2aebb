//! PURE: the bytes of an export file: a magic number, then blocks, each with its length and a digest that covers the block and
//! the digest of the block before it. Integers are big-endian.

use jiff::Timestamp;
use schemas::digest::Digest;

/// The first bytes of a file: name and version of the format, 16 bytes.
pub const MAGIC: &[u8; 16] = b"SLACKTIDE-EXP/1\n";

/// The first bytes of a block.
pub const BLOCK_MARK: &[u8; 4] = b"SLXB";

/// The length of a block's head: mark, kind, plain length, stored length, digest.
pub const BLOCK_HEAD: usize = 4 + 1 + 4 + 4 + 32;

/// The maximum length of a block, packed or not. A message is at most 8 MB long.
pub const MAX_BLOCK: usize = 64 * 1024 * 1024;

/// The length of records from which on a block is closed.
pub const BLOCK_TARGET: usize = 1024 * 1024;

/// The level of zstd. Bodies are compressed already; the manifests shrink to a fifth.
pub const LEVEL: i32 = 3;

/// The kind of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// The header: JSON, not compressed. The first block.
    Header,
    /// Records: one zstd frame.
    Records,
    /// The end record: JSON, not compressed. After the last records.
    End,
    /// The signed manifest: an envelope, not compressed. The last block.
    Manifest,
}

impl BlockKind {
    /// Returns its byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Header => b'H',
            Self::Records => b'R',
            Self::End => b'E',
            Self::Manifest => b'M',
        }
    }

    /// Returns the kind with this byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Header, Self::Records, Self::End, Self::Manifest]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// Returns the digest before the first block.
#[must_use]
pub fn first_digest() -> Digest {
    Digest::of(&[MAGIC])
}

/// The head of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// The kind.
    pub kind: BlockKind,
    /// The length of the content.
    pub plain: u32,
    /// The length of the stored bytes.
    pub stored: u32,
    /// Digest of the digest before, the kind, both lengths and the stored bytes.
    pub digest: Digest,
}

impl BlockHead {
    /// Creates the head of a block after another one.
    #[must_use]
    pub fn new(kind: BlockKind, plain: u32, stored_bytes: &[u8], before: Digest) -> Self {
        let stored = u32::try_from(stored_bytes.len()).unwrap_or(u32::MAX);
        Self {
            kind,
            plain,
            stored,
            digest: block_digest(kind, plain, stored, stored_bytes, before),
        }
    }

    /// Returns its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_HEAD);
        bytes.extend_from_slice(BLOCK_MARK);
        bytes.push(self.kind.byte());
        bytes.extend_from_slice(&self.plain.to_be_bytes());
        bytes.extend_from_slice(&self.stored.to_be_bytes());
        bytes.extend_from_slice(&self.digest.0);
        bytes
    }

    /// Reads its bytes. `None` if they are no head of a block, or the block would be too long.
    #[must_use]
    pub fn decode(bytes: &[u8; BLOCK_HEAD]) -> Option<Self> {
        let rest = bytes.strip_prefix(BLOCK_MARK)?;
        let (kind, rest) = rest.split_first()?;
        let (plain, rest) = take_u32(rest)?;
        let (stored, rest) = take_u32(rest)?;
        let max = u32::try_from(MAX_BLOCK).unwrap_or(u32::MAX);
        (plain <= max && stored <= max).then_some(())?;
        Some(Self {
            kind: BlockKind::from_byte(*kind)?,
            plain,
            stored,
            digest: Digest(rest.try_into().ok()?),
        })
    }

    /// Returns whether the digest is that of these stored bytes after the block before.
    #[must_use]
    pub fn matches(&self, stored: &[u8], before: Digest) -> bool {
        self.digest == block_digest(self.kind, self.plain, self.stored, stored, before)
    }
}

fn block_digest(kind: BlockKind, plain: u32, stored: u32, bytes: &[u8], before: Digest) -> Digest {
    let lengths = [plain.to_be_bytes(), stored.to_be_bytes()].concat();
    Digest::of(&[&before.0, &[kind.byte()], &lengths, bytes])
}

/// A message in an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The index of its stream in the header.
    pub stream: u16,
    /// Its sequence.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// Its subject.
    pub subject: &'a str,
    /// The envelope.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Appends its bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let begin = into.len();
        into.extend_from_slice(&[0; 4]);
        into.extend_from_slice(&self.stream.to_be_bytes());
        into.extend_from_slice(&self.sequence.to_be_bytes());
        into.extend_from_slice(&self.stored_at.as_second().to_be_bytes());
        into.extend_from_slice(&self.stored_at.subsec_nanosecond().to_be_bytes());
        let subject = u16::try_from(self.subject.len()).unwrap_or(u16::MAX);
        into.extend_from_slice(&subject.to_be_bytes());
        into.extend_from_slice(self.subject.as_bytes());
        into.extend_from_slice(self.bytes);
        let length = u32::try_from(into.len() - begin - 4).unwrap_or(u32::MAX);
        if let Some(place) = into.get_mut(begin..begin + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Reads the first record, and returns it with the rest. `None` if the bytes hold no whole record.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (length, rest) = take_u32(bytes)?;
        let length = usize::try_from(length).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        let (stream, record) = record.split_first_chunk::<2>()?;
        let (sequence, record) = record.split_first_chunk::<8>()?;
        let (second, record) = record.split_first_chunk::<8>()?;
        let (nanosecond, record) = record.split_first_chunk::<4>()?;
        let (subject, record) = record.split_first_chunk::<2>()?;
        let (subject, message) = record.split_at_checked(usize::from(u16::from_be_bytes(*subject)))?;
        let stored_at = Timestamp::new(i64::from_be_bytes(*second), i32::from_be_bytes(*nanosecond)).ok()?;
        // The same time has other pairs of numbers, which are not written.
        let is_canonical = stored_at.as_second() == i64::from_be_bytes(*second);
        let record = Self {
            stream: u16::from_be_bytes(*stream),
            sequence: u64::from_be_bytes(*sequence),
            stored_at,
            subject: std::str::from_utf8(subject).ok()?,
            bytes: message,
        };
        is_canonical.then_some((record, rest))
    }
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// A running digest of the records of one stream.
#[must_use]
pub fn next_stream_digest(before: Option<Digest>, record: &[u8]) -> Digest {
    match before {
        Some(before) => Digest::of(&[&before.0, record]),
        None => Digest::of(&[record]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of docs/audit-export.md.
    #[test]
    fn record_bytes_are_those_of_the_page() {
        let record = Record {
            stream: 1,
            sequence: 7,
            stored_at: "2026-01-31T00:00:00.000000005Z".parse().unwrap(),
            subject: "data.a.b",
            bytes: b"xyz",
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let expected =
            "00000023 0001 0000000000000007 00000000697d4600 00000005 0008 646174612e612e62 78797a";
        assert_eq!(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            expected.replace(' ', "")
        );
        assert_eq!(Record::decode(&bytes), Some((record, &[][..])));
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn block_head_round_trips_and_covers_every_field() {
        let head = BlockHead::new(BlockKind::Records, 9, b"stored", first_digest());
        let bytes: [u8; BLOCK_HEAD] = head.encode().try_into().unwrap();
        assert_eq!(BlockHead::decode(&bytes), Some(head));
        assert!(head.matches(b"stored", first_digest()));
        assert!(!head.matches(b"storee", first_digest()));
        assert!(!head.matches(b"stored", Digest::of(&[b"other"])));
        for index in 0..BLOCK_HEAD {
            let mut altered = bytes;
            altered[index] ^= 1;
            let valid =
                BlockHead::decode(&altered).is_some_and(|head| head.matches(b"stored", first_digest()));
            assert!(!valid, "byte {index}");
        }
    }
}
