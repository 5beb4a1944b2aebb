//! `slacktide-verify`: verifies an export, for someone who trusts neither side. It needs the files and one trust file; it has no
//! network code, starts no thread and writes no file.
//!
//! - [`arguments`] the command line
//! - [`program`] reads the files and verifies them
//! - [`output`] everything that it prints

pub mod arguments;
pub mod output;
pub mod program;
