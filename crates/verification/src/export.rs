//! Exports: files with the messages of all streams, exactly as stored. `docs/audit-export.md` describes every byte.
//!
//! - [`mod@format`] the bytes: blocks and records
//! - [`manifest`] header, end record and signed manifest
//! - [`reader`] reads a file block by block, also a damaged one
//! - [`verify`] verifies the files of an export

pub mod format;
pub mod manifest;
pub mod reader;
pub mod verify;
