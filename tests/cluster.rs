//! The exchange as a cluster of three servers: feeds and requests flow on through every fault of one server, of its routes and of
//! the leaders.
//!
//! | module | what |
//! |---|---|
//! | `fault` | faults of the servers, and the time until rows flow again |
//! | `feeds` | a feed through each fault: nothing lost, doubled or different, and no lane needs an operator |
//! | `requests` | requests through the same faults: one outcome each |

mod fault;
mod feeds;
mod requests;
