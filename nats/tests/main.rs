//! The transport and the shipped topology, on a real server with the shipped accounts.
//!
//! | module | what |
//! |---|---|
//! | `exchange_server` | a private server with the shipped accounts, and its users' connections |
//! | `conformance` | the suite of the port |
//! | `permissions` | what each credential can and cannot do |
//! | `isolation` | each credential against everything that is not its own |
//! | `once` | requests, their answers and what is said about them: one message each, whoever publishes how |
//! | `replay` | large messages, gaps, long queues |
//! | `topology` | diff and apply: idempotent, nothing destroyed |
//! | `faults` | a server that is away, comes back, is full; a wrong key |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails there and then"
)]

mod conformance;
mod exchange_server;
mod faults;
mod isolation;
mod once;
mod permissions;
mod replay;
mod topology;
