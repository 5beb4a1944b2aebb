//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// The help text.
pub const HELP: &str = "\
Move the agent's own database backend into the kernel's idle class.

Serve on a Unix socket until SIGTERM or SIGINT; a second signal ends the program at once.

Usage: slacktide-idle-helper --config FILE

Options:
      --config FILE  Read this configuration file; only root may be able to change it
      --help         Print this help
      --version      Print the version

Exit codes: 0 stopped by a signal, 2 usage or configuration, 3 permission denied, 9 ended by a second signal,
12 another helper listens at the socket, 70 internal error.

Example:
  slacktide-idle-helper --config /etc/slacktide/idle-helper.toml
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Serve with this configuration file.
    Serve(PathBuf),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// Why the command line is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// An unknown option, or a missing value.
    #[error("{0}; see slacktide-idle-helper --help")]
    Unexpected(#[from] lexopt::Error),
    /// No configuration file is named.
    #[error("no configuration file is named; give --config FILE, such as /etc/slacktide/idle-helper.toml")]
    NoConfig,
    /// More than one is named.
    #[error("--config is given twice; give one file")]
    Twice,
}

/// PURE. Parses the arguments behind the program's name.
///
/// # Errors
/// Why they are not valid.
pub fn parse<I>(arguments: I) -> Result<Action, ArgumentError>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut config: Option<PathBuf> = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("config") => {
                let path = parser.value()?.into();
                if config.replace(path).is_some() {
                    return Err(ArgumentError::Twice);
                }
            }
            Short('h') | Long("help") => return Ok(Action::Help),
            Short('V') | Long("version") => return Ok(Action::Version),
            other => return Err(other.unexpected().into()),
        }
    }
    config.map(Action::Serve).ok_or(ArgumentError::NoConfig)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_one_configuration_file() {
        let file = Action::Serve("/etc/helper.toml".into());
        assert_eq!(parse(["--config", "/etc/helper.toml"]).ok(), Some(file.clone()));
        assert_eq!(parse(["--config=/etc/helper.toml"]).ok(), Some(file));
        assert_eq!(parse(["--config", "a", "--help"]).ok(), Some(Action::Help));
        assert_eq!(parse(["-V"]).ok(), Some(Action::Version));
    }

    #[test]
    fn arguments_invalid_are_refused_with_the_remedy() {
        for (arguments, wanted) in [
            (&[][..], "give --config FILE"),
            (&["--config"], "see slacktide-idle-helper --help"),
            (&["--config", "a", "--config", "b"], "give one file"),
            (&["--force"], "--force"),
            (&["run"], "run"),
        ] {
            let error = parse(arguments.iter().copied()).expect_err("invalid").to_string();
            assert!(error.contains(wanted), "{arguments:?}: {error}");
        }
    }
}
