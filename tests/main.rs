//! End-to-end tests: real servers, faults, simulation.
//!
//! | module | what |
//! |---|---|
//! | `auditor` | an auditor rebuilds a store, compares it, and follows a request and a person |
//! | `binary` | the binary as a user starts it |
//! | `cli_schema` | the schemas of the commands' JSON, which every output of a command is validated with |
//! | `cluster` | the exchange as a cluster of three servers, through faults of each |
//! | `evidence` | exports of a rich site, their verification, and manipulations that it must find |
//! | `schema_change` | schema changes at the core, and how the receiver's tables change |
//! | `faults` | faults of network, databases, permissions, disks and the process itself |
//! | `front` | the front-end machine: supervision, and network namespaces |
//! | `gate_config` | gate configurations for tests that do not test the gate |
//! | `https` | the exchange over HTTPS: the conformance suite, faults between agents, proxy, gateway and nats-server |
//! | `histories` | generated tables and change histories through the agents, compared when idle |
//! | `dependencies` | which crate may depend on which |
//! | `module_cycles` | modules form no cycles |
//! | `messages` | values in a database's notices and errors are recorded nowhere |
//! | `naming` | names that the bureau chooses do not reach the insurer's own tables |
//! | `operations` | status, holds, health pages, metrics, shipped units and alert rules |
//! | `pipeline` | the path from core to store as real processes, with faults and orders |
//! | `quarantine` | quarantined rows and messages, and how they are released |
//! | `reader` | readers without an agent over the HTTP gateway: rows, tokens, requests, the Python reader |
//! | `requests` | data requests of insurers, and the one outcome of each |
//! | `samples` | what ships to be copied: compose.yml, sample feeds, the install guide |
//! | `scenarios` | every pair of databases, interruptions, a full stream, configuration errors |
//! | `tls` | keys and certificates: mutual TLS, rotation, what the exchange's operator can do |
//! | `traces` | OpenTelemetry traces through agents and gateway |
//! | `types` | every column type of a core, from generated tables, in every pair of databases |
//! | `model` | the simulation: thousands of schedules, no threads, no clock |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test cannot set up must fail it there and then, with the message"
)]
#![allow(clippy::print_stderr, reason = "tests print what they found with --nocapture")]

mod auditor;
mod binary;
mod cli_schema;
mod cluster;
mod dependencies;
mod evidence;
mod faults;
mod front;
mod gate_config;
mod histories;
mod https;
mod messages;
mod model;
mod module_cycles;
mod naming;
mod operations;
mod pipeline;
mod quarantine;
mod reader;
mod requests;
mod samples;
mod scenarios;
mod schema_change;
mod tls;
mod traces;
mod types;
