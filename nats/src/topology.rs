//! Streams, consumers and accounts as files, compared with the state of the exchange.
//!
//! - [`spec`] the format of a file
//! - [`files`] reading them from a directory, or as shipped with the binary
//! - [`parties`] who takes part; [`rights`] what each may do; [`accounts`] the account files made of both
//! - [`server`] the server's configuration, for a private server
//! - [`admin`] the administrator's view of the exchange
//! - [`diff`] pure: what differs; `danger` which of it could destroy something; `show` as text
//! - [`mod@apply`] applies the files to the exchange; `replicas` how many copies of each stream
//! - [`mod@status`] what is in it
//!
//! Streams and consumers that the files do not have are listed and kept: nothing is ever deleted here.

pub mod accounts;
pub mod admin;
pub mod apply;
pub mod diff;
pub mod files;
pub mod parties;
pub mod rights;
pub mod server;
pub mod spec;
pub mod status;

mod danger;
mod replicas;
mod show;

pub use admin::Admin;
pub use apply::{apply, plan};
pub use diff::Plan;
pub use files::{consumer_file, embedded, load};
pub use parties::{ConnectionKey, Parties, PartiesError, Party, Role};
pub use spec::Topology;
pub use status::status;
