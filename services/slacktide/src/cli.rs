//! The command-line arguments, with their help texts.
//!
//! The commands are in `commands`.
//!
//! - [`program`] the program and its commands; [`config`] the file that most of them take; [`decision`] who decides, and why
//! - [`agent`] the agents; [`exchange`] the exchange; [`party`] its parties; [`gate`] the gate and orders to it; [`gateway`] the gateway,
//!   [`front`] the front-end machine
//! - [`reconcile`] reconciliation; [`feed`] feeds, [`hold`] holds, [`orders`] the control record, [`quarantine`] the quarantine, [`store`] the store,
//!   [`status`] the status of all; [`request`] data requests, [`approvals`] decisions about them
//! - [`blocklist`] and [`masking`] what is withheld; [`keys`] keys and certificates
//! - [`audit`] the auditor; [`demo`] the demo
//! - [`arguments`] checks for invisible characters

mod agent;
pub(crate) mod approvals;
mod arguments;
mod audit;
pub(crate) mod blocklist;
mod config;
pub(crate) mod decision;
mod demo;
mod exchange;
pub(crate) mod feed;
mod front;
pub(crate) mod gate;
mod gateway;
pub(crate) mod hold;
pub(crate) mod keys;
pub(crate) mod masking;
pub(crate) mod orders;
mod party;
mod program;
pub(crate) mod quarantine;
pub(crate) mod reconcile;
pub(crate) mod request;
pub(crate) mod status;
pub(crate) mod store;

pub(crate) use agent::AgentCommand;
pub(crate) use arguments::check_arguments;
pub(crate) use audit::{
    AuditCommand, DiffArgs, ExportPeriod, Part, PersonTrailArgs, Question, QuestionsArgs, RebuildArgs,
    ReplayFormat, RequestTrailArgs, Since, StreamName,
};
pub(crate) use config::{Config, ConfigCommand};
pub(crate) use demo::{DemoArgs, DemoLoadArgs};
pub(crate) use exchange::ExchangeCommand;
pub(crate) use front::FrontCommand;
pub(crate) use gate::{GateCommand, OrderArgs};
pub(crate) use gateway::{
    ConsoleRoleName, GatewayCommand, ProfileArgs, ProfileCommand, TokenCommand, TokenTerms,
};
pub(crate) use party::{AccountDir, PartyCommand, PartyRole};
pub(crate) use program::{Cli, Command};
