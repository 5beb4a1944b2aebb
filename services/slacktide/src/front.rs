//! The exchange's server on the front-end machine, as a child process.
//!
//! - [`environment`] PURE: the file of variables that the server's configuration uses
//! - [`log_line`] PURE: a line of the server's log, with its level
//! - [`server`] starts the server, starts it again after a failure, and stops it
//! - [`report`] the state of server and gateway on one health page

pub(crate) mod environment;
mod log_line;
pub(crate) mod report;
pub(crate) mod server;
