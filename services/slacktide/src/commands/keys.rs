//! `slacktide keys new|site|certificate|renew`.
//!
//! - `files` writing a key or a certificate so that only its owner reads it
//! - `certificates` the authority of a test site and its certificates; `issue` issues one more
//! - `site` creates a test site; `samples` its configuration files

mod certificates;
mod files;
mod issue;
mod samples;
mod site;

use std::path::Path;

use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::encryption::EncryptionKey;
use schemas::sign::SigningKey;
use serde::Serialize;

use crate::cli::keys::{KeyKind, KeysCommand};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};

/// A party's public keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Public {
    /// For the exchange's account file, `U…`.
    pub(crate) connect: String,
    /// For the other parties' `[trust]`, `A…`.
    pub(crate) sign: String,
    /// For the bureau's `[encryption]`, `X…`.
    pub(crate) encryption: String,
}

/// Runs a subcommand.
pub(crate) fn run(command: KeysCommand) -> Outcome {
    match command {
        KeysCommand::New { out, only, json } => new(&out, &only, json),
        KeysCommand::Site(args) => site::make(&args),
        KeysCommand::Certificate(args) => issue::issue(&args),
        KeysCommand::Renew { site, days } => site::renew(&site, days),
    }
}

/// Creates a party's keys and shows where the public keys go.
fn new(out: &Path, only: &[KeyKind], json: bool) -> Outcome {
    let public = write(out, only)?;
    let key = |text: &String| (!text.is_empty()).then(|| text.clone());
    let report = KeysReport {
        folder: out.display().to_string(),
        connect: key(&public.connect),
        sign: key(&public.sign),
        encryption: key(&public.encryption),
    };
    output::report(&report, json)?;
    Ok(Exit::Done)
}

/// The public keys that were created.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "keys new")]
pub(super) struct KeysReport {
    /// The folder of the files.
    folder: String,
    /// For the account file of the exchange, `U…`.
    connect: Option<String>,
    /// For `[trust]` of the other parties, `A…`.
    sign: Option<String>,
    /// For `[encryption]` of the bureau, `X…`.
    encryption: Option<String>,
}

impl Report for KeysReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for (name, key, destination) in [
            ("connect", &self.connect, "for the exchange's account file"),
            ("sign", &self.sign, "for the other parties' [trust]"),
            (
                "encryption",
                &self.encryption,
                "a recipient's: for the bureau's [encryption] recipients",
            ),
        ] {
            if let Some(key) = key {
                let folder = &self.folder;
                view.line(format!(
                    "{folder}/{name}.seed   secret: keep it on this machine, mode 0600"
                ));
                view.line(format!("{folder}/{name}.pub    {key}   {destination}"));
            }
        }
        view
    }
}

/// Creates all keys of a party in a folder. Never overwrites a file.
pub(crate) fn write_keys(out: &Path) -> Result<Public, Failure> {
    write(out, &[])
}

fn write(out: &Path, only: &[KeyKind]) -> Result<Public, Failure> {
    let wanted = |kind| only.is_empty() || only.contains(&kind);
    let internal = |error: &dyn std::fmt::Display| Failure::internal(&error);
    let mut public = Public::default();
    let mut texts = Vec::new();
    if wanted(KeyKind::Connect) {
        let key = nkeys::KeyPair::new_user();
        public.connect = key.public_key();
        texts.push((
            "connect",
            key.seed().map_err(|e| internal(&e))?,
            public.connect.clone(),
        ));
    }
    if wanted(KeyKind::Sign) {
        let key = SigningKey::generate();
        public.sign = key.public().to_string();
        texts.push(("sign", key.seed().map_err(|e| internal(&e))?, public.sign.clone()));
    }
    if wanted(KeyKind::Encryption) {
        let key = EncryptionKey::generate().map_err(|e| internal(&e))?;
        public.encryption = key.public().to_string();
        texts.push((
            "encryption",
            key.seed().map_err(|e| internal(&e))?,
            public.encryption.clone(),
        ));
    }
    let texts: Vec<(String, String)> = texts
        .into_iter()
        .flat_map(|(name, seed, public)| {
            [
                (format!("{name}.seed"), seed + "\n"),
                (format!("{name}.pub"), public + "\n"),
            ]
        })
        .collect();
    files::write_new(out, &texts)?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_two_files_each_and_never_overwritten() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let public = write_keys(folder.path())?;
        assert!(
            public.connect.starts_with('U')
                && public.sign.starts_with('A')
                && public.encryption.starts_with('X')
        );
        for (name, first) in [
            ("connect.seed", "SU"),
            ("sign.seed", "SA"),
            ("encryption.seed", "SX"),
        ] {
            let path = folder.path().join(name);
            assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(path)?.starts_with(first));
        }
        let again = write_keys(folder.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(again.contains("connect.seed: exists already"), "{again}");
        Ok(())
    }

    #[test]
    fn keys_only_one_kind_is_written() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        write(folder.path(), &[KeyKind::Encryption])?;
        assert!(folder.path().join("encryption.seed").exists() && !folder.path().join("sign.seed").exists());
        Ok(())
    }
}
