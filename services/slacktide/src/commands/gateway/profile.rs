//! `slacktide gateway profile new`: the file of a reader without an agent.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ::gateway::profile::{Profile, Trust, VERSION, check_endpoint};
use ::gateway::token::file;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::PartyName;

use super::token;
use crate::cli::ProfileArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{GatewayFile, load};

pub(super) fn create(args: &ProfileArgs) -> Outcome {
    let loaded: Loaded<GatewayFile> = load(&args.config.config)?;
    check_endpoint(&args.endpoint).map_err(|what| Failure::usage(format!("--endpoint: {what}")))?;
    let ca = args.ca.as_deref().map(read_ca).transpose()?;
    let party = PartyName::new(args.recipient.as_str()).map_err(|error| Failure::usage(error.to_string()))?;
    if args.out.exists() {
        return Err(write_error(
            &args.out,
            &"exists already, and nothing is overwritten",
        ));
    }
    let (entry, text) = token::create(&loaded, &party, &args.terms, None)?;
    let profile = Profile {
        version: VERSION,
        endpoint: args.endpoint.clone(),
        recipient: args.recipient.clone(),
        token: text,
        expires_at: entry.expires_at,
        ca,
        trust: Trust {
            chunks: args.trust.clone(),
            replies: args.trust.clone(),
        },
    };
    let json = serde_json::to_string_pretty(&profile).map_err(|error| Failure::internal(&error))?;
    if let Err(error) = write_private(&args.out, &json) {
        // A token that no one has must not stay valid.
        file::revoke(&token::path(&loaded)?, &entry.id).map_err(token::failed)?;
        return Err(write_error(&args.out, &error));
    }
    output::line(&format!(
        "{}: a profile of {} with token {}, which expires at {:.0}; only the reader's account may read it",
        args.out.display(),
        args.recipient,
        entry.id,
        entry.expires_at
    ));
    Ok(Exit::Done)
}

fn read_ca(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--ca {}: {error}", path.display())))?;
    if text.contains("PRIVATE KEY") || !text.contains("BEGIN CERTIFICATE") {
        return Err(Failure::usage(format!(
            "--ca {}: is not a file of certificates alone; give the authority's certificate, PEM",
            path.display()
        )));
    }
    Ok(text)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn write_error(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}; give a path for a new file", path.display()))
}
