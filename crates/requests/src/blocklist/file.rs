//! The file that a block list comes in: a header, a line for each person, a trailer with their count.
//!
//! ```text
//! HDR,slacktide-blocklist,1,2026-01-31
//! PSN,31010004711
//! PSN,31010004712
//! TRL,2
//! ```
//!
//! A list that was cut short would let persons pass, so nothing of a file is taken unless all of it
//! reads: header first, trailer last, its count that of the lines between. Every line that does not read
//! is named by its number, and never by what it holds.

use jiff::civil::Date;
use schemas::digest::Digest;
use schemas::person::PersonKey;
use schemas::visible;

use super::BlockList;

/// Bytes of a person's number, at most.
const MOST_PERSON: usize = 64;

/// Faults that a message names; the others are counted.
const MOST_TOLD: usize = 20;

/// One line that does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: Wrong,
}

/// What is wrong with a line, without what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The first line is no header.
    #[error("the file begins with HDR,slacktide-blocklist,1,<yyyy-mm-dd>")]
    Header,
    /// The last line is no trailer.
    #[error("the file ends with TRL,<count of persons>; was it cut short?")]
    NoTrailer,
    /// The count is another one.
    #[error("the trailer counts {said}, and there are {found} lines of persons")]
    Count {
        /// In the trailer.
        said: u64,
        /// In the file.
        found: u64,
    },
    /// A line behind the trailer.
    #[error("nothing may follow the trailer")]
    AfterTrailer,
    /// No line of a person.
    #[error("a person is written PSN,<number>")]
    NoPerson,
    /// A number that cannot be one.
    #[error("a person's number has 1 to 64 bytes, without commas and control characters")]
    Number,
    /// No UTF-8.
    #[error("it is no UTF-8 text")]
    NotText,
}

/// A file that was not taken; the list stays as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// Every line that does not read, in order.
    pub faults: Vec<Fault>,
}

impl std::fmt::Display for BadFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the block list was not taken, and the one before stays in force"
        )?;
        for fault in self.faults.iter().take(MOST_TOLD) {
            write!(f, "\n  {fault}")?;
        }
        match self.faults.len().saturating_sub(MOST_TOLD) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} lines more"),
        }
    }
}

impl std::error::Error for BadFile {}

/// Reads a file. Line ends of either kind, a byte order mark and a person named twice are taken.
///
/// # Errors
/// [`BadFile`] with every fault.
pub fn read(bytes: &[u8], key: &PersonKey) -> Result<BlockList, BadFile> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut reading = Reading::default();
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Err(what) = reading.line(at, line, key) {
            reading.faults.push(Fault { line: at + 1, what });
        }
        reading.lines = at + 1;
    }
    if !reading.ended {
        let line = reading.lines;
        reading.faults.push(Fault {
            line,
            what: Wrong::NoTrailer,
        });
    }
    match (reading.made, reading.faults.is_empty()) {
        (Some(made), true) => Ok(BlockList::new(made, key, reading.persons)),
        _ => Err(BadFile {
            faults: reading.faults,
        }),
    }
}

#[derive(Default)]
struct Reading {
    made: Option<Date>,
    persons: Vec<Digest>,
    /// Lines between header and trailer, the faulty ones too: the count is of lines.
    found: u64,
    ended: bool,
    lines: usize,
    faults: Vec<Fault>,
}

impl Reading {
    fn line(&mut self, at: usize, line: &[u8], key: &PersonKey) -> Result<(), Wrong> {
        if self.ended {
            return Err(Wrong::AfterTrailer);
        }
        if at == 0 {
            self.made = Some(header(line).ok_or(Wrong::Header)?);
            return Ok(());
        }
        if let Some(count) = line.strip_prefix(b"TRL,") {
            self.ended = true;
            let said = number(count).ok_or(Wrong::NoTrailer)?;
            let found = self.found;
            return if said == found {
                Ok(())
            } else {
                Err(Wrong::Count { said, found })
            };
        }
        self.found += 1;
        let person = line.strip_prefix(b"PSN,").ok_or(Wrong::NoPerson)?;
        let person = std::str::from_utf8(person).map_err(|_| Wrong::NotText)?.trim();
        // With a character that cannot be seen a number would be nobody's, and keep nothing back.
        let is_odd = person.contains(',') || visible::check("number", person).is_err();
        if person.is_empty() || person.len() > MOST_PERSON || is_odd {
            return Err(Wrong::Number);
        }
        self.persons.push(key.mark(person).digest);
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
