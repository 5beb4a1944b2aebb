//! What is said: every message that crosses the exchange, its bytes, digest and signature.
//!
//! Nothing here does IO or knows a clock. The map:
//!
//! - who and where: [`name`], [`subject`]
//! - what a row is: [`mod@column`], [`value`], [`rows`], [`key`], [`cursor`], [`total`]
//! - one message: [`manifest`] and body make a [`chunk`]; [`envelope`] is the frame that is signed
//! - what goes back: [`receipt`]
//! - what is asked: [`request`], its [`reply`] with [`refusal`] codes and each [`part`] of the answer;
//!   meanwhile [`progress`] and [`approval`], in the end [`confirm`]
//! - who may act: [`lease`], [`audit`]; what operators order: [`control`], of
//!   whom, without their name: [`person`]; how both go on behind a message that cannot be read: [`unreadable`]
//! - what a message names of other chains: [`heads`]; where it belongs: [`origin`]; which database its rows come
//!   from: [`source`]
//! - what only its reader can open: [`seal`]
//! - what makes it provable: [`digest`], [`sign`], [`load`]
//! - its limits against hostile input: [`body`]; which characters its texts may hold: [`visible`];
//!   its JSON: [`unique`]
//! - which values of a column mark a deleted row: [`tombstone`]
//! - the published JSON Schemas: [`catalogue`]

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
pub mod envelope;
pub mod heads;
pub mod key;
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
pub mod seal;
pub mod sign;
pub mod source;
pub mod subject;
pub mod tombstone;
pub mod total;
pub mod unique;
pub mod unreadable;
pub mod value;
pub mod visible;
