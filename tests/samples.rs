//! What ships to be copied: compose.yml and its image, the sample feeds, the install guide. The tests use it as a user would.
//!
//! - `compose` compose.yml, the Dockerfile and their script; the services run without Docker
//! - `yaml` reads compose.yml with its variables filled in
//! - `feeds` the feeds of the record kinds, from tables of those names into a store
//! - `kinds` the kinds of requests, over a table of settlements
//! - `guide` every command of docs/install.md and of docs/gateway.md's quick start; `procedures` those of docs/procedures.md
//! - `readme` README.md and README.zh-CN.md, compared
//! - `shell` pages whose commands are executed, and stub programs
//! - `security` the tests that SECURITY.md names; `lint` the lint's output on advisories

mod compose;
mod feeds;
mod guide;
mod kinds;
mod lint;
mod procedures;
mod readme;
mod security;
mod shell;
mod yaml;
