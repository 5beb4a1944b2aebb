//! Runs our work on the source in the kernel's idle class.
//!
//! A polling gate reacts in milliseconds, the scheduler in microseconds. The database backend that serves us does the
//! work on the source, so it must be in the idle class as well as this process. Only a control group achieves that:
//! nice and `SCHED_IDLE` rank within one autogroup, and the backend is in another.
//!
//! - [`own`] lowers this process without privileges
//! - [`cgroup`] the idle control group and its members
//! - [`process`], [`sockets`] parsers of `/proc`
//! - [`identity`], [`handle`] the identity of a process and the proof that it still runs
//! - [`io_class`] the I/O class of a process
//! - [`backend`] whether a process is exactly the backend that serves another
//! - [`protocol`] the messages on the helper's socket
//! - [`helper`] the privileged helper; [`client`] its client

pub mod backend;
pub mod cgroup;
pub mod client;
pub mod handle;
pub mod helper;
pub mod identity;
pub mod io_class;
pub mod own;
pub mod process;
pub mod protocol;
pub mod sockets;
