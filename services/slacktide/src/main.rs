//! The one binary: it composes the parts and decides nothing.
//!
//! - `cli` what may be said on the command line
//! - `settings` the configuration files, checked before anything is touched
//! - `compose` the parts of the agents, made from settings
//! - `commands` one module for each command
//! - `doctor` what is wrong, before anything is touched
//! - `demo` all of it on one machine
//! - `failure` how a command fails: what, where, what to do, and the exit code

mod cli;
mod commands;
mod compose;
mod demo;
mod doctor;
mod failure;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // The demo shows what happens by itself; log lines would run through its display.
    let quiet = matches!(cli.command, cli::Command::Demo(_)) && std::env::var_os("SLACKTIDE_LOG").is_none();
    if !quiet && let Err(error) = runtime::telemetry::init(cli.log_format.into()) {
        output::error(&error.to_string());
        return runtime::exit::Exit::Usage.into();
    }
    match commands::run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::error(&failure.to_string());
            failure.exit.into()
        }
    }
}
