//! The transport and the shipped topology, on a real server with the shipped accounts.
//!
//! | module | what |
//! |---|---|
//! | `exchange_server` | a private server with the shipped accounts, and its users' connections |
//! | `cluster` | three servers: replicas that lag, leaders that are gone, copies |
//! | `conformance` | the suite of the port |
//! | `permissions` | what each credential can and cannot do |
//! | `isolation` | each credential against everything that is not its own |
//! | `once` | requests, their answers and messages about them: one message each, for every publisher |
//! | `status` | the status of agents: who may read it, and what is kept |
//! | `pull` | a pull whose status arrives before its messages |
//! | `replay` | large messages, gaps, long queues |
//! | `topology` | diff and apply: idempotent, nothing destroyed |
//! | `faults` | a server that is unreachable, returns, is full; a wrong key |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed setup must fail the test"
)]

mod cluster;
mod conformance;
mod exchange_server;
mod faults;
mod isolation;
mod once;
mod permissions;
mod pull;
mod replay;
mod status;
mod topology;
