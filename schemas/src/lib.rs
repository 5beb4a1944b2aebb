//! What is said: every message that crosses the exchange, its bytes, digest and signature.
//!
//! Nothing here does IO or knows a clock. The map:
//!
//! - who and where: [`name`], [`subject`]
//! - what a row is: [`column`], [`value`], [`rows`], [`cursor`], [`total`]
//! - one message: [`manifest`] and body make a [`chunk`]; [`envelope`] is the frame that is signed
//! - what goes back: [`receipt`]; what is asked: [`request`], [`reply`]
//! - who may act: [`lease`], [`audit`]; what operators order: [`control`], of
//!   whom, without their name: [`person`]
//! - what only its reader can open: [`seal`]
//! - what makes it provable: [`digest`], [`sign`], [`load`]
//! - its limits against hostile input: [`body`]
//! - the published JSON Schemas: [`catalogue`]

pub mod audit;
pub mod body;
pub mod catalogue;
pub mod chunk;
pub mod column;
pub mod control;
pub mod cursor;
pub mod digest;
pub mod envelope;
pub mod lease;
pub mod load;
pub mod manifest;
pub mod name;
pub mod person;
pub mod receipt;
pub mod reply;
pub mod request;
pub mod rows;
pub mod seal;
pub mod sign;
pub mod subject;
pub mod total;
pub mod value;
