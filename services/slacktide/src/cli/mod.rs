//! What may be said on the command line.
//!
//! Only words are here, each with the sentence that `--help` says of it; what a command does is in
//! `commands`, and a command with words of its own (`feed`, `hold`, `keys`, …) keeps them there.
//!
//! - [`program`] the program and its commands; [`config`] the file that most of them take
//! - [`agent`] agents and the idle helper; [`exchange`] the exchange; [`party`] who takes part in it; [`gate`] the gate and orders to it
//! - [`audit`] what an auditor reads; [`demo`] the demo
//! - [`words`] which characters may be in any of it

mod agent;
mod audit;
mod config;
mod demo;
mod exchange;
mod gate;
mod party;
mod program;
mod words;

pub(crate) use agent::{AgentCommand, HelperCommand};
pub(crate) use audit::{AuditCommand, Part, Since, StreamName};
pub(crate) use config::{Config, ConfigCommand};
pub(crate) use demo::{DemoArgs, DemoLoadArgs};
pub(crate) use exchange::ExchangeCommand;
pub(crate) use gate::{GateCommand, OrderArgs};
pub(crate) use party::{AccountDir, PartyCommand, PartyRole};
pub(crate) use program::{Cli, Command};
pub(crate) use words::check_words;
