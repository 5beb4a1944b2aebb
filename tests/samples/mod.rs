//! What ships for others to copy: compose.yml and its image, the ready-made feeds, the install guide. It is used as they
//! would use it, so that it cannot rot.
//!
//! - `compose` compose.yml, the Dockerfile and the script beside them; the services run without Docker
//! - `yaml` compose.yml read, variables filled in
//! - `feeds` the feeds of the record kinds, from tables of those names into a store
//! - `kinds` the kinds of requests, asked over a table of settlements
//! - `guide` every command of docs/install.md; `procedures` those of docs/procedures.md
//! - `shell` pages whose commands are executed, and the programs that stand in
//! - `security` the tests that SECURITY.md names; `lint` what the lint says of advisories

mod compose;
mod feeds;
mod guide;
mod kinds;
mod lint;
mod procedures;
mod security;
mod shell;
mod yaml;
