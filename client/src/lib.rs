//! Asks a bureau for data, from an insurer's own program, over the exchange.
//!
//! A program that already writes into the insurer's database does not need this crate: it writes into the outbox,
//! and the agent does the rest. This crate is for programs that want the answer itself.
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
//!     sealing_seeds: vec![],
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
//! - [`ask`] what is asked
//! - [`answer`] what came back: verified, opened, in order
//! - [`client`] the verbs
//! - [`error`] what can go wrong, with what to do
//! - [`visible`] texts of the other party for a screen: `escape` what acts on it without being seen

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
