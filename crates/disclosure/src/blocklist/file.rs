//! The file format of a block list: a header, a line for each person, a trailer with their count.
//!
//! ```text
//! HDR,slacktide-blocklist,1,2026-01-31
//! PSN,31010004711
//! PSN,31010004712
//! TRL,2
//! ```
//!
//! A truncated list would let persons pass, so a file is imported completely or not at all: header first, trailer last, with the
//! count of the lines between. An error names each invalid line by its number, never by its content.

use jiff::civil::Date;
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::visible;

use super::BlockList;

/// The greatest length of a person's number in bytes.
const MAX_PERSON_BYTES: usize = 64;

/// Errors that a message lists. The others are counted.
const MAX_REPORTED: usize = 20;

/// An invalid line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// The error.
    pub what: LineErrorKind,
}

/// The error of a line, without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineErrorKind {
    /// The first line is not a header.
    #[error("the file begins with HDR,slacktide-blocklist,1,<yyyy-mm-dd>")]
    Header,
    /// The last line is not a trailer.
    #[error("the file ends with TRL,<count of persons>; was it cut short?")]
    NoTrailer,
    /// The trailer has a wrong count.
    #[error("the trailer counts {declared}, and there are {found} lines of persons")]
    Count {
        /// In the trailer.
        declared: u64,
        /// In the file.
        found: u64,
    },
    /// A line follows the trailer.
    #[error("nothing may follow the trailer")]
    AfterTrailer,
    /// The line is not a person.
    #[error("a person is written PSN,<number>")]
    NoPerson,
    /// The number is invalid.
    #[error("a person's number has 1 to 64 bytes, without commas and control characters")]
    Number,
    /// The line is not UTF-8.
    #[error("it is not UTF-8 text")]
    NotText,
}

/// A rejected file. The current list stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockListFileError {
    /// Every invalid line, in order.
    pub faults: Vec<LineError>,
}

impl std::fmt::Display for BlockListFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block list not imported, the previous list stays in force")?;
        for fault in self.faults.iter().take(MAX_REPORTED) {
            write!(f, "\n  {fault}")?;
        }
        match self.faults.len().saturating_sub(MAX_REPORTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} lines more"),
        }
    }
}

impl std::error::Error for BlockListFileError {}

/// Reads a file. Accepts both kinds of line ends, a byte order mark and duplicate persons.
///
/// # Errors
/// [`BlockListFileError`] with every invalid line.
pub fn read(bytes: &[u8], key: &PersonKey) -> Result<BlockList, BlockListFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut reading = FileReader::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Err(what) = reading.line(at, line, key) {
            reading.faults.push(LineError { line: at + 1, what });
        }
        reading.lines = at + 1;
    }
    if !reading.ended {
        let line = reading.lines;
        reading.faults.push(LineError {
            line,
            what: LineErrorKind::NoTrailer,
        });
    }
    match (reading.made, reading.faults.is_empty()) {
        (Some(made), true) => Ok(BlockList::new(made, key, reading.persons)),
        _ => Err(BlockListFileError {
            faults: reading.faults,
        }),
    }
}

#[derive(Default)]
struct FileReader {
    made: Option<Date>,
    persons: Vec<Digest>,
    /// Lines between header and trailer, including invalid ones.
    found: u64,
    ended: bool,
    lines: usize,
    faults: Vec<LineError>,
}

impl FileReader {
    fn line(&mut self, at: usize, line: &[u8], key: &PersonKey) -> Result<(), LineErrorKind> {
        if self.ended {
            return Err(LineErrorKind::AfterTrailer);
        }
        if at == 0 {
            self.made = Some(header(line).ok_or(LineErrorKind::Header)?);
            return Ok(());
        }
        if let Some(count) = line.strip_prefix(b"TRL,") {
            self.ended = true;
            let declared = number(count).ok_or(LineErrorKind::NoTrailer)?;
            let found = self.found;
            return if declared == found {
                Ok(())
            } else {
                Err(LineErrorKind::Count { declared, found })
            };
        }
        self.found += 1;
        let person = line.strip_prefix(b"PSN,").ok_or(LineErrorKind::NoPerson)?;
        let person = std::str::from_utf8(person)
            .map_err(|_| LineErrorKind::NotText)?
            .trim();
        // A number with an invisible character matches no person.
        let is_odd = person.contains(',') || visible::check_visible("number", person).is_err();
        if person.is_empty() || person.len() > MAX_PERSON_BYTES || is_odd {
            return Err(LineErrorKind::Number);
        }
        self.persons.push(key.token(person).digest);
        Ok(())
    }
}

fn header(line: &[u8]) -> Option<Date> {
    let day = line.strip_prefix(b"HDR,slacktide-blocklist,1,")?;
    let day = std::str::from_utf8(day).ok()?;
    (day.len() == 10)
        .then(|| Date::strptime("%Y-%m-%d", day).ok())
        .flatten()
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    digits
        .then(|| std::str::from_utf8(bytes).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests;
