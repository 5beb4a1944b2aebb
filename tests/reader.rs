//! Readers without an agent: the gateway's routes for them, the commands for tokens and profiles, the Python reader.
//!
//! - `gateway_site` starts a gateway next to a site, and sends requests to it
//! - `python` the shipped reader on 100,000 rows, killed in the middle
//! - `tokens` creation, revocation and expiry of tokens on a running gateway
//! - `console` a session of the console on a running gateway
//! - `filing` a request that the command signs and another program files
//! - `page` docs/gateway.md, compared with the program

mod console;
mod filing;
mod gateway_site;
mod page;
mod python;
mod tokens;
