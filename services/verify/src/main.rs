//! `slacktide-verify`: verifies an export of the exchange's streams.

use std::process::ExitCode;

use verify_program::program;

fn main() -> ExitCode {
    // A panic prints its location, and has the exit code of an internal error.
    let ended = std::panic::catch_unwind(|| program::run(std::env::args_os().skip(1)));
    ExitCode::from(ended.unwrap_or(program::INTERNAL))
}
