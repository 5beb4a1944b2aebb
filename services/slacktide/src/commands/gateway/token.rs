//! `slacktide gateway token …`: creates, lists and revokes bearer tokens.

use std::path::PathBuf;

use ::gateway::token::TokenEntry;
use ::gateway::token::file::{self, NewToken};
use ::gateway::{ConsoleRole, Role, TokenError};
use jiff::{SignedDuration, Timestamp};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::PartyName;
use schemas::visible;
use serde::Serialize;

use crate::cli::{ConsoleRoleName, TokenCommand, TokenTerms};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Table, Time, View};
use crate::settings::{GatewayFile, load};

/// The longest validity of a token.
const MAX_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 366);

pub(super) fn run(command: TokenCommand) -> Outcome {
    match command {
        TokenCommand::New {
            party,
            console,
            terms,
            config,
            json,
        } => {
            let loaded: Loaded<GatewayFile> = load(&config.config)?;
            let (entry, token) = create(&loaded, &party, &terms, console)?;
            output::report(&NewTokenReport::new(&entry, token), json)?;
            output::note(&format!(
                "token {} of {} expires at {:.0}; it is not shown again",
                entry.id, entry.party, entry.expires_at
            ));
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
    console: Option<ConsoleRoleName>,
) -> Result<(TokenEntry, String), Failure> {
    let role = loaded.value.roles().get(party).copied().ok_or_else(|| {
        Failure::usage(format!(
            "{}: no [[party]] is named {party}; add it, or name one that is there",
            loaded.path.display()
        ))
    })?;
    if console.is_some() && !loaded.value.gateway.console {
        return Err(Failure::usage(format!(
            "{}: gateway.console is not true, so a token of the console would open nothing; set it first",
            loaded.path.display()
        )));
    }
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
        console: console.map(|role| match role {
            ConsoleRoleName::Viewer => ConsoleRole::Viewer,
            ConsoleRoleName::Operator => ConsoleRole::Operator,
        }),
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

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(super) fn failed(error: TokenError) -> Failure {
    Failure::usage(error.to_string())
}

fn list(tokens: &[TokenEntry], json: bool) -> Outcome {
    let now = Timestamp::now();
    let list = TokenList {
        items: tokens.iter().map(|entry| TokenItem::new(entry, now)).collect(),
    };
    output::report(&list, json)?;
    Ok(Exit::Done)
}

/// A token that was created.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gateway token new")]
pub(in crate::commands) struct NewTokenReport {
    /// Names the token in `token list` and `token revoke`.
    id: String,
    /// Whom it authenticates.
    party: PartyName,
    /// In which role.
    role: Role,
    /// What it allows in the console; `null`: it opens the interface.
    console: Option<ConsoleRole>,
    /// When it expires.
    expires_at: Time,
    /// The token. It is stored nowhere.
    token: String,
}

impl NewTokenReport {
    fn new(entry: &TokenEntry, token: String) -> Self {
        Self {
            id: entry.id.clone(),
            party: entry.party.clone(),
            role: entry.role,
            console: entry.console,
            expires_at: entry.expires_at.into(),
            token,
        }
    }
}

impl Report for NewTokenReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.exact(self.token.as_str());
        view
    }
}

/// The tokens, without their text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "gateway token list")]
pub(in crate::commands) struct TokenList {
    items: Vec<TokenItem>,
}

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenItem {
    /// Names it in `token revoke`.
    id: String,
    /// Whom it authenticates.
    party: PartyName,
    /// In which role.
    role: Role,
    /// What it allows in the console; `null`: it opens the interface.
    console: Option<ConsoleRole>,
    /// When it was created.
    created_at: Time,
    /// When it expires.
    expires_at: Time,
    /// Whether it has expired.
    is_expired: bool,
    /// What it is for.
    note: String,
}

impl TokenItem {
    fn new(entry: &TokenEntry, now: Timestamp) -> Self {
        Self {
            id: entry.id.clone(),
            party: entry.party.clone(),
            role: entry.role,
            console: entry.console,
            created_at: entry.created_at.into(),
            expires_at: entry.expires_at.into(),
            is_expired: entry.expires_at <= now,
            note: entry.note.clone(),
        }
    }
}

impl Report for TokenList {
    fn view(&self) -> View {
        let mut view = View::new();
        if self.items.is_empty() {
            view.line("there is no token; `slacktide gateway token new` creates one");
            return view;
        }
        let mut table = Table::new()
            .fixed("ID")
            .fixed("PARTY")
            .fixed("OPENS")
            .fixed("STATE")
            .fixed("EXPIRES")
            .text("NOTE");
        for item in &self.items {
            let state = if item.is_expired { "expired" } else { "valid" };
            table.row([
                item.id.clone(),
                item.party.to_string(),
                opens(item.console).to_owned(),
                state.to_owned(),
                item.expires_at.to_string(),
                item.note.clone(),
            ]);
        }
        view.table(table);
        view
    }
}

/// Returns what a token opens.
fn opens(console: Option<ConsoleRole>) -> &'static str {
    match console {
        None => "interface",
        Some(ConsoleRole::Viewer) => "console, viewer",
        Some(ConsoleRole::Operator) => "console, operator",
    }
}
