//! `slacktide-idle-helper`: the program that runs as root.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use idle_helper::arguments::{self, Action, HELP};
use idle_helper::config::load;
use idle_helper::exit::Exit;
use idle_helper::{Helper, log, stop};

fn main() -> ExitCode {
    // A panic prints its location, and has the exit code of an internal error.
    std::panic::catch_unwind(run).unwrap_or(Exit::Internal).into()
}

fn run() -> Exit {
    match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Action::Serve(path)) => serve(&path),
        Ok(Action::Help) => print(HELP),
        Ok(Action::Version) => print(concat!("slacktide-idle-helper ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => fail(&error, Exit::Usage),
    }
}

/// Serves until a stop signal.
fn serve(path: &Path) -> Exit {
    log::enable();
    let config = match load(path) {
        Ok(config) => config,
        Err(error) => return fail(&error, Exit::Usage),
    };
    // Before the socket exists: a signal must not leave it there.
    let stop = match stop::on_signals() {
        Ok(stop) => stop,
        Err(error) => return fail(&format!("signals cannot be handled: {error}"), Exit::Internal),
    };
    let helper = match Helper::open(&config) {
        Ok(helper) => helper,
        Err(error) => return fail(&error, error.exit()),
    };
    let socket = config.idle_helper.socket.display().to_string();
    log::info("idle helper listens", &[("socket", socket.into())]);
    helper.serve(&stop);
    log::info("idle helper stopped", &[]);
    Exit::Done
}

/// Reports why the program ends.
fn fail(error: &impl std::fmt::Display, exit: Exit) -> Exit {
    log::to_standard_error(&format!("error: {}", log::escape(&error.to_string())));
    exit
}

fn print(text: &str) -> Exit {
    #[allow(
        clippy::disallowed_methods,
        reason = "the only writer to standard output of this program; the texts are constants"
    )]
    let mut out = std::io::stdout().lock();
    // The reader may have closed the pipe.
    let _ = out.write_all(text.as_bytes());
    Exit::Done
}
