//! The measured program: the release build of `slacktide`.

use std::path::PathBuf;
use std::process::Command;

use crate::Outcome;

/// Returns the binary that `SLACKTIDE_BIN` names, or builds the one next to this program.
///
/// # Errors
/// If it is missing or does not build.
pub(crate) fn built() -> Outcome<PathBuf> {
    if let Some(named) = std::env::var_os("SLACKTIDE_BIN") {
        let named = PathBuf::from(named);
        return if named.is_file() {
            Ok(named)
        } else {
            Err(format!("SLACKTIDE_BIN names {}, which is not a file", named.display()).into())
        };
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or("this program has no folder")?;
    let binary = folder.join("slacktide");
    // Set by `cargo run`. Never measures a binary that is older than its sources.
    if let Some(cargo) = std::env::var_os("CARGO") {
        println!("building slacktide (release)");
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "--package",
                "slacktide",
            ])
            .current_dir(harness::workspace())
            .status()?;
        if !status.success() {
            return Err("slacktide does not build; no measurement was made".into());
        }
    }
    if binary.is_file() {
        Ok(binary)
    } else {
        let build = "cargo build --release --package slacktide";
        Err(format!(
            "{} does not exist; run `{build}`, or set SLACKTIDE_BIN",
            binary.display()
        )
        .into())
    }
}
