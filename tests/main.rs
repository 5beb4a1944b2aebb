//! The flow under test: real servers, faults, simulation.
//!
//! | module | what |
//! |---|---|
//! | `binary` | the one binary, as a user starts it |
//! | `change` | what changes at the core, and how the receiver's tables follow |
//! | `faults` | bad days: network, databases, rights, disks, the process itself |
//! | `gates` | the gate of the tests that are about something else |
//! | `histories` | generated tables and histories of changes through the agents, compared at rest |
//! | `law` | which crate may depend on which |
//! | `messages` | what a database's notices and errors leave behind |
//! | `naming` | names that the bureau chooses, and what they do not reach at the receiver |
//! | `operate` | status, holds, health pages, metrics, and what ships beside them |
//! | `path` | the main path as real processes, and what is done to it |
//! | `quarantine` | what is kept aside, and its way out |
//! | `requests` | what insurers ask, and the one outcome of each |
//! | `samples` | what ships to be copied: compose.yml, ready-made feeds, the install guide |
//! | `scenarios` | every pair of databases, orders to stop, a full stream, errors of configuration |
//! | `tls` | keys and certificates: the path over mutual TLS, rotation, what the exchange's operator can do |
//! | `types` | every type that a core would hold, out of generated tables, in every pair |
//! | `model` | the simulation: thousands of schedules, no threads, no clock |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot set up must fail it there and then, with the message"
)]
#![allow(clippy::print_stderr, reason = "tests tell what they found with --nocapture")]

mod binary;
mod change;
mod faults;
mod gates;
mod histories;
mod law;
mod messages;
mod model;
mod naming;
mod operate;
mod path;
mod quarantine;
mod requests;
mod samples;
mod scenarios;
mod tls;
mod types;
