//! The front-end machine: exchange and gateway as one process tree.
//!
//! - `machine` a front made of the files of `keys site`
//! - `supervision` start, restart after a kill, stop, wrong configuration
//! - `namespaces` both sides connect in, and the front opens no connection

mod machine;
mod namespaces;
mod supervision;
