//! The command-line arguments, with their help texts.
//!
//! The commands are in `commands`; some (`feed`, `hold`, `keys`, …) define their arguments there.
//!
//! - [`program`] the program and its commands; [`config`] the file that most of them take
//! - [`agent`] the agents; [`exchange`] the exchange; [`party`] its parties; [`gate`] the gate and orders to it; [`gateway`] the gateway,
//!   [`front`] the front-end machine
//! - [`audit`] the auditor; [`demo`] the demo
//! - [`arguments`] checks for invisible characters

mod agent;
mod arguments;
mod audit;
mod config;
mod demo;
mod exchange;
mod front;
mod gate;
mod gateway;
mod party;
mod program;

pub(crate) use agent::AgentCommand;
pub(crate) use arguments::check_arguments;
pub(crate) use audit::{AuditCommand, Part, Since, StreamName};
pub(crate) use config::{Config, ConfigCommand};
pub(crate) use demo::{DemoArgs, DemoLoadArgs};
pub(crate) use exchange::ExchangeCommand;
pub(crate) use front::FrontCommand;
pub(crate) use gate::{GateCommand, OrderArgs};
pub(crate) use gateway::{GatewayCommand, ProfileArgs, ProfileCommand, TokenCommand, TokenTerms};
pub(crate) use party::{AccountDir, PartyCommand, PartyRole};
pub(crate) use program::{Cli, Command};
