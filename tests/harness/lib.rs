//! Real servers and processes for tests, private to each test.
//!
//! A test owns what it starts. [`NatsServer`], [`Postgres`] and [`Process`] run in their own temporary directory on their own
//! loopback ports, and end when they are dropped. When the test process itself dies, even by SIGKILL, a [`ChildGuard`] ends
//! them.
//!
//! Nothing here sleeps for a fixed time to synchronise. [`until`] polls a condition under a deadline and names the condition
//! when it fails.
//!
//! A function that cannot do its work panics; the message has the cause and the log of the server or process.
//!
//! The crate depends on no part of the product, so any crate may use it for its own tests.
//!
//! | module | what |
//! |---|---|
//! | `until` | wait for a named condition, with a deadline or as long as there is progress |
//! | `find` | paths of the server binaries |
//! | `port` | ports that no client is given by the kernel |
//! | `child_guard` | the watchdog process of a child |
//! | `logs` | log directories of children, kept if the test fails |
//! | `skip` | reports a test that cannot run on this machine |
//! | `signal` | stop, continue, terminate |
//! | `nats_server` | a private nats-server |
//! | `nats_cluster` | three private nats-servers with routes that can be cut |
//! | `postgres` | a PostgreSQL cluster, private or shared by the test process with a database for each test |
//! | `process` | the product's binaries or another program as a child |
//! | `http` | HTTP GET, for status pages |
//! | `proxy` | a TCP proxy that disconnects, black-holes, delays or redirects connections |
//! | `limit` | limits on files and memory of a running process |
//! | `background` | work that runs during a test |
//! | `shim` | faults of the machine: a full disk, a slow disk, a wall clock that jumps |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a harness that cannot do its work must fail the test there and then, with the message; where the logs are \
    kept belongs next to that message"
)]

mod background;
mod child_guard;
mod find;
mod http;
mod limit;
mod logs;
mod nats_cluster;
mod nats_server;
mod port;
mod postgres;
mod process;
mod proxy;
pub mod rng;
#[cfg(test)]
mod servers;
mod shim;
mod signal;
mod skip;
mod until;

pub use background::Background;
pub use child_guard::ChildGuard;
pub use find::{nats_server_binary, postgres_bin, workspace};
pub use http::{Response, http_get};
pub use limit::Limit;
pub use nats_cluster::NatsCluster;
pub use nats_server::{NatsServer, NatsServers, StoreCopy};
pub use port::free_port;
pub use postgres::{Db, Postgres, PostgresOptions, hostile_setting};
pub use process::{Finished, Process, idle_helper, run, slacktide, verify_program};
pub use proxy::Proxy;
pub use shim::Shim;
pub use skip::{is_wanted, skip};
pub use until::{PollResult, until, until_with_progress};
