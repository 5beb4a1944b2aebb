//! `slacktide gateway token …`: creates, lists and revokes bearer tokens.

use std::path::PathBuf;

use ::gateway::TokenError;
use ::gateway::token::TokenEntry;
use ::gateway::token::file::{self, NewToken};
use jiff::{SignedDuration, Timestamp};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::PartyName;
use schemas::visible;

use crate::cli::{TokenCommand, TokenTerms};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{GatewayFile, load};

/// The longest validity of a token.
const MAX_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 366);

pub(super) fn run(command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::New {
            party,
            terms,
            config,
            json,
        } => {
            let loaded: Loaded<GatewayFile> = load(&config.config)?;
            let (entry, token) = create(&loaded, &party, &terms)?;
            if json {
                output::json(&serde_json::json!({
                    "id": entry.id, "party": entry.party, "role": entry.role, "expires_at": entry.expires_at, "token": token,
                }))?;
            } else {
                output::line(&token);
                output::note(&format!(
                    "token {} of {} expires at {:.0}; it is not shown again",
                    entry.id, entry.party, entry.expires_at
                ));
            }
            Ok(Exit::Done)
        }
        TokenCommand::List { config, json } => {
            let loaded: Loaded<GatewayFile> = load(&config.config)?;
            let path = path(&loaded)?;
            // Before the first token there is no file.
            let tokens = if path.exists() {
                file::read(&path).map_err(failed)?.1
            } else {
                Vec::new()
            };
            list(&tokens, json)
        }
        TokenCommand::Revoke { id, config } => {
            let loaded: Loaded<GatewayFile> = load(&config.config)?;
            let entry = file::revoke(&path(&loaded)?, &id).map_err(failed)?;
            output::line(&format!("token {} of {} is revoked", entry.id, entry.party));
            Ok(Exit::Done)
        }
    }
}

/// Creates a token of a party of the file.
pub(super) fn create(
    loaded: &Loaded<GatewayFile>,
    party: &PartyName,
    terms: &TokenTerms,
) -> Result<(TokenEntry, String), Failure> {
    let role = loaded.value.roles().get(party).copied().ok_or_else(|| {
        Failure::usage(format!(
            "{}: no [[party]] is named {party}; add it, or name one that is there",
            loaded.path.display()
        ))
    })?;
    visible::check_visible("note", &terms.note).map_err(|error| Failure::usage(error.to_string()))?;
    let now = Timestamp::now();
    let validity = SignedDuration::try_from(terms.expires.get()).unwrap_or(SignedDuration::MAX);
    if validity.is_zero() || validity > MAX_VALIDITY {
        return Err(Failure::usage(format!(
            "--expires is {}; give up to 366d, so that a forgotten token ends",
            terms.expires
        )));
    }
    let expires_at = now
        .checked_add(validity)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let new = NewToken {
        party: party.clone(),
        role,
        expires_at,
        note: terms.note.clone(),
    };
    file::add(&path(loaded)?, new, now).map_err(failed)
}

/// Returns the file of tokens.
pub(super) fn path(loaded: &Loaded<GatewayFile>) -> Result<PathBuf, Failure> {
    let tokens = loaded.value.gateway.tokens.as_deref();
    tokens.map(|path| loaded.resolve(path)).ok_or_else(|| {
        Failure::usage(format!(
            "{}: gateway.tokens is missing, so no token is accepted; name a file there",
            loaded.path.display()
        ))
    })
}

pub(super) fn failed(error: TokenError) -> Failure {
    Failure::usage(error.to_string())
}

fn list(tokens: &[TokenEntry], json: bool) -> Outcome {
    if json {
        let entry = |entry: &TokenEntry| {
            serde_json::json!({
                "id": entry.id, "party": entry.party, "role": entry.role, "created_at": entry.created_at,
                "expires_at": entry.expires_at, "note": entry.note,
            })
        };
        output::json(&tokens.iter().map(entry).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        output::line("there is no token; `slacktide gateway token new` creates one");
        return Ok(Exit::Done);
    }
    let now = Timestamp::now();
    output::lines(tokens.iter().map(|entry| {
        let state = if entry.expires_at <= now {
            "expired"
        } else {
            "expires"
        };
        let (id, party, at) = (&entry.id, &entry.party, entry.expires_at);
        format!("{id}  {party}  {state} {at:.0}  {}", entry.note)
            .trim_end()
            .to_owned()
    }));
    Ok(Exit::Done)
}
