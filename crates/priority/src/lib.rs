//! The kernel's help: our work behind everybody else's.
//!
//! A gate that polls reacts in milliseconds, the scheduler in microseconds. But the work on the
//! source is done by the database backend that serves us, so it has to be in the idle class as
//! well as this process, and only a control group does that: nice and `SCHED_IDLE` rank within
//! one autogroup, and the backend lives in another.
//!
//! - [`own`] what a process may do to itself, without rights
//! - [`cgroup`] a group that runs when nobody else wants to, and who is in it
//! - [`process`], [`sockets`] what `/proc` says
//! - [`identity`], [`handle`] which process a number means, and the proof that it still does
//! - [`io_class`] a process's IO class
//! - [`backend`] whether a process is exactly the backend that serves another
//! - [`protocol`] what is said over the socket
//! - [`helper`] the small server that has the right; [`client`] how it is asked

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
