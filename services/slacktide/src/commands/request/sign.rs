//! Writes a signed request to a file, for a program that files it over the HTTP gateway.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::envelope::Envelope;
use slacktide_client::Ask;

use super::failed;
use super::filing::{FilingItem, FilingReport, FilingWord};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::CommercialFile;

/// Signs the request of today under its key. The file contains its arguments: only its owner reads it.
pub(super) fn write(loaded: &Loaded<CommercialFile>, ask: &Ask, path: &Path, json: bool) -> Outcome {
    let (file, folder) = (&loaded.value, loaded.folder());
    let key = file.signing.key(folder)?;
    let recipient = &file.commercial.recipient;
    let request = ask
        .request(recipient, key.public(), &file.origin(), Timestamp::now())
        .map_err(failed)?;
    let signed = Envelope::sign(&request, Vec::new(), &key).and_then(|envelope| envelope.encode());
    let bytes = signed.map_err(|error| Failure::usage(error.to_string()))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(&bytes));
    written.map_err(|error| {
        Failure::usage(format!("{}: {error}; give a path for a new file", path.display()))
    })?;
    let signed = FilingReport {
        items: vec![FilingItem {
            line: None,
            id: Some(request.id.to_string()),
            idempotency_key: Some(ask.key().to_owned()),
            result: FilingWord::Signed,
            outcome: None,
            reason: None,
        }],
        rejected_file: None,
        signed_file: Some(path.to_owned()),
    };
    output::report(&signed, json)?;
    Ok(Exit::Done)
}
