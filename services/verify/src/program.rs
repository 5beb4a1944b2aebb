//! Reads the files and verifies them.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::encryption::{DecryptionKeys, EncryptionKey};
use serde::Deserialize;
use verification::export::verify::{ExportFindings, ExportVerifier};
use verification::heads::KeptHeads;
use verification::report::{ReportLine, VerifyReport};
use verification::trust_file::TrustFile;

use crate::arguments::{self, Action, HELP, Options};
use crate::output::{self, Progress};

/// Everything is valid and complete.
pub const VALID: u8 = 0;
/// The command line or a file cannot be used.
pub const USAGE: u8 = 2;
/// The evidence is not valid.
pub const EVIDENCE: u8 = 7;
/// Everything is valid, and the export is not complete; or the result could not be written.
pub const UNFINISHED: u8 = 9;
/// Internal error.
pub const INTERNAL: u8 = 70;

/// The extension of export files.
const EXTENSION: &str = "slx";

/// Why nothing was verified.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file has other content than expected.
    #[error("{}: {what}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        what: String,
    },
    /// A folder has no files of an export.
    #[error("{}: the folder has no .slx file; name the folder of an export", .0.display())]
    Empty(PathBuf),
}

/// The file of heads that `slacktide audit verify --since` keeps.
#[derive(Deserialize)]
struct HeadsFile {
    heads: KeptHeads,
}

/// Runs the program. Returns its exit code.
pub fn run<I>(arguments: I) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    match arguments::parse(arguments) {
        Ok(Action::Verify(options)) => match verify(&options) {
            Ok(found) => show(&found, options.is_json),
            Err(error) => fail(&error),
        },
        Ok(Action::Help) => print(HELP),
        Ok(Action::Version) => print(concat!("slacktide-verify ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => fail(&error),
    }
}

/// Verifies an export.
///
/// # Errors
/// A file cannot be used.
pub fn verify(options: &Options) -> Result<ExportFindings, ProgramError> {
    let trust_text = read_text(&options.trust)?;
    let trust_file: TrustFile = toml::from_str(&trust_text).map_err(|error| ProgramError::Content {
        path: options.trust.clone(),
        what: format!(
            "not a trust file: {}",
            error.to_string().trim_end().replace('\n', " ")
        ),
    })?;
    let trust = trust_file.trust(decryption_keys(&options.decrypt)?);
    let since = options.since.as_deref().map(heads).transpose()?;
    let files = files(&options.export)?;
    let mut lengths = Vec::new();
    for path in &files {
        lengths.push(
            std::fs::metadata(path)
                .map_err(|error| unreadable(path, error))?
                .len(),
        );
    }
    let mut progress = Progress::new(lengths.iter().sum());
    let mut verifier = ExportVerifier::new(&trust);
    let mut before = 0;
    for (path, length) in files.iter().zip(lengths) {
        let input = File::open(path).map_err(|error| unreadable(path, error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        verifier
            .file(
                name.as_deref().unwrap_or_default(),
                BufReader::with_capacity(1 << 20, input),
                &mut |done| progress.set(before + done),
            )
            .map_err(|error| unreadable(path, error))?;
        before += length;
    }
    progress.end();
    Ok(verifier.finish(since.as_ref()))
}

/// Prints the findings. Returns the exit code.
fn show(found: &ExportFindings, is_json: bool) -> u8 {
    let report = VerifyReport::of_export(found);
    let is_written = if is_json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => output::json(&text),
            Err(_) => return INTERNAL,
        }
    } else {
        report.lines().iter().all(|line| match line {
            ReportLine::Result(text) => output::line(text),
            ReportLine::NotCovered(text) => output::line(&format!("NOT COVERED: {text}")),
            ReportLine::Fault(text) => output::line(&format!("FAULT {text}")),
        })
    };
    if !found.findings.is_sound() {
        EVIDENCE
    } else if !is_written {
        output::error("the result cannot be written to standard output; it is not complete");
        UNFINISHED
    } else if found.is_complete {
        VALID
    } else {
        UNFINISHED
    }
}

/// Returns the files of an export: those that are named, and the files of named folders by name.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, ProgramError> {
    let mut all = Vec::new();
    for path in named {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, error))? {
            let file = entry.map_err(|error| unreadable(path, error))?.path();
            if file.extension().is_some_and(|extension| extension == EXTENSION) {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(ProgramError::Empty(path.clone()));
        }
        found.sort();
        all.extend(found);
    }
    Ok(all)
}

fn decryption_keys(paths: &[PathBuf]) -> Result<DecryptionKeys, ProgramError> {
    let mut keys = Vec::new();
    for path in paths {
        let key =
            EncryptionKey::from_seed(read_text(path)?.trim()).map_err(|error| ProgramError::Content {
                path: path.clone(),
                what: error.to_string(),
            })?;
        keys.push(Arc::new(key));
    }
    Ok(DecryptionKeys::new(keys))
}

fn heads(path: &Path) -> Result<KeptHeads, ProgramError> {
    let file: HeadsFile = serde_json::from_str(&read_text(path)?).map_err(|error| ProgramError::Content {
        path: path.to_owned(),
        what: format!("not a file of heads: {error}; `slacktide audit verify --since FILE` writes one"),
    })?;
    Ok(file.heads)
}

fn read_text(path: &Path) -> Result<String, ProgramError> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> ProgramError {
    ProgramError::Read {
        path: path.to_owned(),
        error,
    }
}

fn fail(error: &impl std::fmt::Display) -> u8 {
    output::error(&error.to_string());
    USAGE
}

fn print(text: &str) -> u8 {
    if output::text(text) { VALID } else { UNFINISHED }
}
