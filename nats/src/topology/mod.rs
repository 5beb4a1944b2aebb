//! Streams, consumers and accounts as files, and the exchange as it stands beside them.
//!
//! - [`spec`] what a file may say
//! - [`files`] reading them from a directory, or as shipped with the binary
//! - [`parties`] who takes part; [`rights`] what each may do; [`accounts`] the account files made of both
//! - [`server`] the server's configuration, for a private server
//! - [`admin`] the administrator's view of the exchange
//! - [`diff`] pure: what differs; `danger` which of it could destroy something; `show` as text
//! - [`mod@apply`] making the exchange as the files say
//! - [`mod@status`] what is in it
//!
//! What the files do not name is listed and left alone: nothing is ever deleted here.

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
mod show;

pub use admin::Admin;
pub use apply::{apply, plan};
pub use diff::Plan;
pub use files::{consumer_file, embedded, load};
pub use parties::{ConnectionKey, Parties, PartiesError, Party, Role};
pub use spec::Topology;
pub use status::status;
