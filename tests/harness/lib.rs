//! Private real servers and processes for tests: started, watched, ended.
//!
//! A test owns what it starts. [`NatsServer`], [`Postgres`] and [`Process`] run in a temporary directory of their own
//! on loopback ports of their own, and end when they are dropped. When the test process itself dies, even by
//! SIGKILL, a [`Leash`] ends them: nothing outlives a test run.
//!
//! Nothing here sleeps for a fixed time to synchronise. [`until`] polls a condition under a deadline and names what
//! it waited for when it fails.
//!
//! The crate depends on no part of the product, so any crate may use it for its own tests.
//!
//! | module | what |
//! |---|---|
//! | `until` | wait for a condition, by name; or for work to be done, as long as it gets on |
//! | `find` | where the server binaries are |
//! | `port` | ports that no client can take by accident |
//! | `leash` | the watchdog beside every child |
//! | `logs` | where the logs of children are, kept if the test fails |
//! | `skip` | a test that cannot run here reports so |
//! | `signal` | stop, continue, terminate |
//! | `nats_server` | a private nats-server |
//! | `postgres` | a private PostgreSQL cluster, or one shared by the run with a database a test |
//! | `process` | the real `slacktide` binary |
//! | `http` | GET, for status pages |
//! | `proxy` | a way between client and server: cut, swallowed, slowed, turned elsewhere |
//! | `limit` | files and memory taken from a running process |
//! | `background` | work beside a test, until it is stopped |
//! | `shim` | a full disk, a slow disk, a wall clock that jumps |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a harness that cannot do its work must fail the test there and then, with the message; where the logs are \
    kept belongs beside that message"
)]

mod background;
mod find;
mod http;
mod leash;
mod limit;
mod logs;
mod nats_server;
mod port;
mod postgres;
mod process;
mod proxy;
#[cfg(test)]
mod servers;
mod shim;
mod signal;
mod skip;
mod until;

pub use background::Background;
pub use find::{nats_server_binary, postgres_bin, workspace};
pub use http::{Response, http_get};
pub use leash::Leash;
pub use limit::Limit;
pub use nats_server::{NatsServer, StoreCopy};
pub use port::free_port;
pub use postgres::{Db, Postgres, PostgresOptions, hostile_setting};
pub use process::{Finished, Process, run, slacktide};
pub use proxy::Proxy;
pub use shim::Shim;
pub use skip::skip;
pub use until::{Seen, until, until_still};
