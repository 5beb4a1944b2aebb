//! Runs our work on the source in the kernel's idle class: what the agent and the root helper share.
//!
//! A polling gate reacts in milliseconds, the scheduler in microseconds. The database backend that serves us does the
//! work on the source, so it must be in the idle class as well as this process. Only a control group achieves that:
//! nice and `SCHED_IDLE` rank within one autogroup, and the backend is in another.
//!
//! The agent lowers itself with [`own`], and asks the helper, a program of its own (`services/idle-helper`), to move
//! its backend. The agent's client is in `services/slacktide/src/kernel/client.rs`. This crate has no asynchronous
//! code, so that the helper needs no runtime for it.
//!
//! - [`own`] lowers this process without privileges
//! - [`protocol`] the messages on the helper's socket
//! - [`verify`] whether a process is in the idle group, as read by this process
//! - [`cgroup`] the idle control group and its members
//! - [`process`], [`sockets`] parsers of `/proc`
//! - [`io_class`] the I/O class of a process

pub mod cgroup;
pub mod io_class;
pub mod own;
pub mod process;
pub mod protocol;
pub mod sockets;
pub mod verify;
