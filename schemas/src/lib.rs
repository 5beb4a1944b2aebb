//! The messages that cross the exchange: their bytes, digests and signatures.
//!
//! Nothing here does I/O or reads a clock. Modules:
//!
//! - names: [`name`], [`subject`], [`stream`]
//! - rows: [`mod@column`], [`value`], [`rows`], [`key`], [`key_digest`], [`cursor`], [`total`]
//! - data: [`manifest`] and body make a [`chunk`]; [`envelope`] is the signed frame; [`receipt`] acknowledges chunks
//! - requests: [`request`], [`approval`], [`progress`], [`reply`] with [`refusal`] codes, [`part`] of an answer, [`confirm`]
//! - operation: [`lease`], [`audit`] entries, operators' orders in [`control`], pseudonyms of persons in [`person`];
//!   an agent's [`status_report`]; [`unreadable`] references a message in a chain that cannot be read
//! - context of a message: [`heads`] of other chains, [`origin`], identity of the [`source`] database, [`load`]
//! - cryptography: [`digest`], [`sign`], [`encryption`]
//! - limits against malicious input: [`body`] sizes, [`visible`] characters, [`unique`] JSON keys
//! - values that mark a deleted row: [`tombstone`]
//! - published JSON Schemas: [`catalogue`]

pub mod approval;
pub mod audit;
pub mod body;
pub mod catalogue;
pub mod chunk;
pub mod column;
pub mod confirm;
pub mod control;
pub mod cursor;
pub mod digest;
pub mod encryption;
pub mod envelope;
pub mod heads;
pub mod key;
pub mod key_digest;
pub mod lease;
pub mod load;
pub mod manifest;
pub mod name;
pub mod origin;
pub mod part;
pub mod person;
pub mod progress;
pub mod receipt;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod rows;
pub mod sign;
pub mod source;
pub mod status_report;
pub mod stream;
pub mod subject;
pub mod tombstone;
pub mod total;
pub mod unique;
pub mod unreadable;
pub mod value;
pub mod visible;
