//! Faults injected into real servers and agents. Each shows a named state, is retried within bounds, is logged once, and loses
//! nothing once it has ended.
//!
//! - `fixture` a site with a proxy on each of its four connections and databases that can be crashed
//! - `log` what an agent logs during a fault
//! - `disconnect`, `half_open` network faults on each connection
//! - `databases` core and store crash, fail over, become read-only, refuse logins
//! - `permissions` privileges, permissions and keys removed while everything runs
//! - `disks` full and slow disks, at the store and at the exchange
//! - `docs_page` docs/faults.md names each of the tests
//! - `nemesis` random faults of every kind, operators who follow what is shown, and an independent oracle
//! - `process` file descriptors, memory, the wall clock, SIGTERM at any time

mod databases;
mod disconnect;
mod disks;
mod docs_page;
mod fixture;
mod half_open;
mod log;
mod nemesis;
mod permissions;
mod process;
