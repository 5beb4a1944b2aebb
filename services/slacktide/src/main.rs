//! The one binary: it composes the parts and decides nothing.
//!
//! - `cli` what may be said on the command line
//! - `settings` the configuration files, checked before anything is touched
//! - `compose` the parts of the agents, made from settings
//! - `commands` one module for each command
//! - `audit_heads` the file of heads that an auditor keeps
//! - `doctor` what is wrong, before anything is touched
//! - `kernel` the kernel's help, kept up while the agent runs
//! - `probes` what the gate asks of the core's database and of other systems
//! - `reload` a changed policy, put in force; `never_idle` the alarm; `fullness` the room at the exchange
//! - `demo` all of it on one machine
//! - `output` the only way to the terminal
//! - `failure` how a command fails: what, where, what to do, and the exit code

mod audit_heads;
mod cli;
mod commands;
mod compose;
mod demo;
mod doctor;
mod failure;
mod fullness;
mod kernel;
mod never_idle;
mod output;
mod probes;
mod reload;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use runtime::telemetry::Voice;

fn main() -> ExitCode {
    output::report_panics();
    if let Err(failure) = cli::check_words(std::env::args_os()) {
        output::failure(&failure);
        return failure.exit.into();
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::command_line(&error),
    };
    let voice = match &cli.command {
        cli::Command::Social(cli::AgentCommand::Run(_))
        | cli::Command::Commercial(cli::AgentCommand::Run(_))
        | cli::Command::IdleHelper(_) => Voice::Agent,
        cli::Command::Demo(_) => Voice::Display,
        _ => Voice::Command,
    };
    if let Err(error) = runtime::telemetry::init(cli.log_format.into(), voice, output::log_sink()) {
        output::error(&error.to_string());
        return runtime::exit::Exit::Usage.into();
    }
    match commands::run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure);
            failure.exit.into()
        }
    }
}
