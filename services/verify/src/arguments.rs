//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

/// The help text.
pub const HELP: &str = "\
Verify an export of the exchange's streams, without network, exchange or
database.

Usage: slacktide-verify --trust FILE [OPTIONS] EXPORT...

Arguments:
  EXPORT...             The files of an export in their order, or a folder
                        with all of them

Options:
      --trust FILE      Read the trusted keys from this file
                        (`slacktide audit trust` prints one)
      --since FILE      Require the heads that an auditor kept in this file
      --decrypt FILE    Decrypt bodies with the encryption seed in this file;
                        may be given several times
      --json            Print the findings as JSON
      --help            Print this help
      --version         Print the version

Exit codes:
    0  everything in the export is valid, and the export is complete
    2  the command line, the trust file or another file cannot be used
    7  the evidence is not valid: each fault is printed with its place
    9  everything in the export is valid, and the export is not complete
   70  internal error

Example:
  slacktide-verify --trust trust.toml export/
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Verify an export.
    Verify(Options),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// What is verified, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The trust file.
    pub trust: PathBuf,
    /// The files or folders of the export.
    pub export: Vec<PathBuf>,
    /// The file of heads.
    pub since: Option<PathBuf>,
    /// Files with encryption seeds.
    pub decrypt: Vec<PathBuf>,
    /// Whether the findings are printed as JSON.
    pub is_json: bool,
}

/// Why the command line is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// An unknown option, or a missing value.
    #[error("{0}; see slacktide-verify --help")]
    Unexpected(#[from] lexopt::Error),
    /// No trust file is named.
    #[error("no trust file is named; give --trust FILE")]
    NoTrust,
    /// No export is named.
    #[error("no export is named; give its files, or the folder with them")]
    NoExport,
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
    let mut options = Options::default();
    let mut trust = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("trust") => trust = Some(parser.value()?.into()),
            Long("since") => options.since = Some(parser.value()?.into()),
            Long("decrypt") => options.decrypt.push(parser.value()?.into()),
            Long("json") => options.is_json = true,
            Short('h') | Long("help") => return Ok(Action::Help),
            Short('V') | Long("version") => return Ok(Action::Version),
            Value(path) => options.export.push(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.export.is_empty() {
        return Err(ArgumentError::NoExport);
    }
    options.trust = trust.ok_or(ArgumentError::NoTrust)?;
    Ok(Action::Verify(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_export_and_trust_file() {
        let parsed = parse([
            "--trust",
            "t.toml",
            "--json",
            "a.slx",
            "b.slx",
            "--decrypt",
            "seed",
        ]);
        let expected = Options {
            trust: "t.toml".into(),
            export: vec!["a.slx".into(), "b.slx".into()],
            since: None,
            decrypt: vec!["seed".into()],
            is_json: true,
        };
        assert_eq!(parsed.ok(), Some(Action::Verify(expected)));
        assert_eq!(parse(["x", "--help"]).ok(), Some(Action::Help));
    }

    #[test]
    fn arguments_invalid_are_refused_with_the_remedy() {
        for (arguments, wanted) in [
            (&["a.slx"][..], "give --trust FILE"),
            (&["--trust", "t"], "the folder with them"),
            (&["--trust"], "see slacktide-verify --help"),
            (&["--force", "a"], "--force"),
        ] {
            let error = parse(arguments.iter().copied()).expect_err("invalid").to_string();
            assert!(error.contains(wanted), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn arguments_help_fits_a_terminal_of_80_columns() {
        assert!(HELP.lines().all(|line| line.len() <= 80));
    }
}
