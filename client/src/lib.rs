//! Requests data from a bureau over the exchange, for an insurer's own programs.
//!
//! A program that already writes into the insurer's database does not need this crate: it inserts into the outbox,
//! and the agent files the request. This crate is for programs that need the answer directly.
//!
//! ```no_run
//! use std::time::Duration;
//! use slacktide_client::{Ask, Client, Identity, Options, Origin, PublicKey};
//!
//! # async fn example() -> Result<(), slacktide_client::Error> {
//! let options = Options::agent("nats://127.0.0.1:4222", "insurer-a", "SU…");
//! let identity = Identity {
//!     recipient: "insurer-a".parse()?,
//!     origin: Origin::default(),
//!     signing_seed: "SA…".to_owned(),
//!     trusted: vec![PublicKey::new("A… of the bureau")?],
//!     decryption_seeds: vec![],
//! };
//! let client = Client::connect(options, identity).await?;
//! let ask = Ask::new("setl.by_person", "01", "01", "claim 4711", "claims desk")
//!     .argument("psn_no", "31010000000001")
//!     .argument("from", "2026-01-01")
//!     .argument("to", "2026-01-31");
//! let id = client.file(&ask).await?;
//! let answer = client.wait(&id, Duration::from_secs(1), Duration::from_secs(600)).await?;
//! for row in answer.rows() {
//!     println!("{} columns", row?.len());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::connect_over_https`] does the same through a gateway, with a token or a client certificate.
//!
//! - [`ask`] the request to file
//! - [`answer`] the verified and decrypted answer
//! - [`client`] the operations
//! - [`error`] errors with their remedies
//! - [`visible`] escapes invisible characters in texts of the other party

pub mod answer;
pub mod ask;
pub mod client;
pub mod error;

pub use answer::{Answer, Cell};
pub use ask::Ask;
pub use client::{Client, FiledAs, Identity};
pub use error::Error;
pub use nats::{Options, Tls};
pub use requests::status;
pub use schemas::cursor::Scalar;
pub use schemas::origin::Origin;
pub use schemas::reply::Outcome;
pub use schemas::request::RequestId;
pub use schemas::sign::PublicKey;
pub use schemas::visible;
pub use web::{Options as HttpsOptions, Tls as HttpsTls};
