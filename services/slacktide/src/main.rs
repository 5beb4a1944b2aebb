//! The binary: composes the parts.
//!
//! - `cli` the command line
//! - `settings` the configuration files and their validation
//! - `compose` builds the parts of the agents from settings
//! - `commands` one module for each command
//! - `audit_heads` the auditor's file of chain heads
//! - `doctor` checks configuration and connectivity without changing the core or the exchange
//! - `kernel` maintains the kernel-idle priority
//! - `front` the exchange's server as a child process
//! - `probes` the gate's signals from the core's database and other systems
//! - `reload` reloads a changed policy; `never_idle` the alarm; `fullness` the usage of streams
//! - `status_page` reads the agents' status pages; `reporting` publishes an agent's own; `telemetry` start and end of traces
//! - `demo` the whole system on one machine
//! - `output` all terminal output
//! - `failure` the error of a command, with its exit code

mod audit_heads;
mod cli;
mod commands;
mod compose;
mod demo;
mod doctor;
mod exchange_client;
mod failure;
mod front;
mod fullness;
mod kernel;
mod never_idle;
mod output;
mod probes;
mod reload;
mod reporting;
mod settings;
mod status_page;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use runtime::telemetry::Verbosity;

fn main() -> ExitCode {
    output::report_panics();
    if let Err(failure) = cli::check_arguments(std::env::args_os()) {
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
        | cli::Command::Gateway(cli::GatewayCommand::Run(_))
        | cli::Command::Front(cli::FrontCommand::Run(_)) => Verbosity::Agent,
        cli::Command::Demo(_) => Verbosity::Display,
        _ => Verbosity::Command,
    };
    if let Err(error) = runtime::telemetry::init(cli.log_format.into(), voice, output::log_sink()) {
        output::error(&error.to_string());
        return runtime::exit::Exit::Usage.into();
    }
    let outcome = commands::dispatch::run(cli.command);
    // A result that could not be written is not a success.
    let outcome = outcome.and_then(|exit| output::finish().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::failure(&failure);
            failure.exit.into()
        }
    }
}
