//! Bad days, injected into real servers and real agents: each shows a state that has a name, is tried again within
//! bounds, is said once, and loses nothing once it is over.
//!
//! - `scene` a site whose four ways can be cut and whose two databases can be crashed
//! - `log` what an agent said while a fault lasted
//! - `cut`, `half_open` the network, in every place
//! - `databases` core and store that crash, fail over, become read-only, shut their doors
//! - `rights` privileges, permissions and keys taken away while everything runs
//! - `disks` full and slow, at the store and at the exchange
//! - `page` docs/faults.md names each of them
//! - `process` file descriptors, memory, the wall clock, SIGTERM at any time

mod cut;
mod databases;
mod disks;
mod half_open;
mod log;
mod page;
mod process;
mod rights;
mod scene;
