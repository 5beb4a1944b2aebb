//! `slacktide exchange party`: the list of parties, and the account files that are generated from it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use nats::topology::{self, ConnectionKey, Parties, Party, Role, accounts, parties};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::name::PartyName;
use serde::Serialize;

use crate::cli::{AccountDir, PartyCommand, PartyRole};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Table, View};

/// Runs a subcommand.
pub(crate) fn run(command: PartyCommand) -> Outcome {
    match command {
        PartyCommand::List { dir, json } => list(&dir, json),
        PartyCommand::Add { name, role, key, at } => {
            let mut party = Party::new(party_name(&name)?, role.into());
            if let Some(key) = key {
                party.keys = vec![connection_key(key)?];
            }
            let parties = read(&at.dir)?.with(party).map_err(refused)?;
            update(&parties, &at)
        }
        PartyCommand::Remove { name, at } => {
            let parties = read(&at.dir)?.without(&party_name(&name)?).map_err(refused)?;
            update(&parties, &at)
        }
        PartyCommand::Key {
            name,
            add,
            remove,
            at,
        } => {
            let (name, before) = (party_name(&name)?, read(&at.dir)?);
            let add = add.map(connection_key).transpose()?;
            let remove = remove.map(connection_key).transpose()?;
            if let Some(key) = &remove
                && !before.find(&name).map_err(refused)?.keys.contains(key)
            {
                return Err(Failure::usage(format!(
                    "{name} has no key {key}; see `slacktide exchange party list`"
                )));
            }
            let parties = before.with_keys(&name, |keys| {
                keys.retain(|key| Some(key) != remove.as_ref());
                keys.extend(add);
            });
            update(&parties.map_err(refused)?, &at)
        }
        PartyCommand::Write { at } => update(&read(&at.dir)?, &at),
    }
}

/// A change of one file below the folder.
#[derive(Debug, PartialEq, Eq)]
struct FileChange {
    /// The path below the folder.
    path: String,
    /// The current text.
    from: Option<String>,
    /// The new text; `None`: the file is removed.
    to: Option<String>,
}

impl FileChange {
    /// The change as lines: the file with `+`, `~` or `-`, and the lines of it that differ.
    fn lines(&self) -> Vec<String> {
        let (Some(from), Some(to)) = (&self.from, &self.to) else {
            let sign = if self.to.is_some() { '+' } else { '-' };
            return vec![format!("{sign} {}", self.path)];
        };
        let only = |these: &str, others: &str, sign: char| -> Vec<String> {
            let lines = these
                .lines()
                .filter(|line| !others.lines().any(|other| other == *line));
            lines.map(|line| format!("    {sign} {}", line.trim())).collect()
        };
        let mut lines = vec![format!("~ {}", self.path)];
        lines.extend(only(from, to, '-'));
        lines.extend(only(to, from, '+'));
        lines
    }
}

fn list(dir: &Path, as_json: bool) -> Outcome {
    let parties = read(dir)?;
    let changes = changes(dir, &parties)?;
    let differing: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
    let list = PartyList {
        items: parties.all().iter().map(PartyItem::from).collect(),
        differing_files: differing.clone(),
    };
    output::report(&list, as_json)?;
    if changes.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::usage(format!(
        "the account files differ from {}: {}; write them with `slacktide exchange party write --dir {}`",
        parties::FILE,
        differing.join(", "),
        dir.display()
    )))
}

/// The parties of the exchange.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "exchange party list")]
pub(in crate::commands) struct PartyList {
    items: Vec<PartyItem>,
    /// The account files that differ from the list.
    differing_files: Vec<String>,
}

/// A party.
#[derive(Debug, Serialize, JsonSchema)]
struct PartyItem {
    name: String,
    /// Its role, which defines its permissions.
    role: String,
    /// Its connection keys, or `$NAME` of a variable in the environment of the server.
    keys: Vec<String>,
}

impl From<&Party> for PartyItem {
    fn from(party: &Party) -> Self {
        Self {
            name: party.name.to_string(),
            role: party.role.as_str().to_owned(),
            keys: party.keys.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Report for PartyList {
    fn view(&self) -> View {
        let mut table = Table::new().text("PARTY").fixed("ROLE").text("KEYS");
        for party in &self.items {
            table.row([party.name.clone(), party.role.clone(), party.keys.join(", ")]);
        }
        let mut view = View::new();
        view.table(table);
        view
    }
}

/// Shows the changes, writes them, and reloads the server or shows how.
fn update(parties: &Parties, at: &AccountDir) -> Outcome {
    let mut changes = changes(&at.dir, parties)?;
    let path = parties::FILE.to_owned();
    let (from, to) = (text(&at.dir.join(&path))?, parties.render());
    if from.as_ref() != Some(&to) {
        changes.push(FileChange {
            path,
            from,
            to: Some(to),
        });
    }
    for change in &changes {
        output::lines(change.lines());
    }
    if changes.is_empty() {
        output::note("the account files are up to date");
    }
    if at.dry_run {
        return Ok(Exit::Done);
    }
    for change in &changes {
        write(&at.dir, change)?;
    }
    let is_new = changes.iter().any(is_new_account);
    match at.reload {
        Some(pid) => reload(pid, is_new)?,
        None if changes.is_empty() => {}
        None => {
            let repeat = if is_new {
                ", given twice some seconds apart because an account is new"
            } else {
                ""
            };
            output::note(&format!(
                "the server reads them with `nats-server --signal reload`{repeat}, or after a restart where its environment gets \
                 a new variable"
            ));
        }
    }
    if changes.iter().any(|change| change.path.starts_with("consumers/")) {
        output::note("make the consumers with `slacktide exchange apply`");
    }
    Ok(Exit::Done)
}

/// An upper bound of the time in which a server reloads its configuration.
const RELOAD_TIME: Duration = Duration::from_secs(2);

/// Makes the server reload its files. nats-server 2.15 applies the imports of a new account only at the next reload after it
/// has created the account, so a new account needs two.
fn reload(pid: i32, is_account_new: bool) -> Result<(), Failure> {
    let hang_up = || {
        kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(|error| {
            Failure::usage(format!(
                "the files are written, but process {pid} cannot be signalled: {error}; run `nats-server --signal reload`"
            ))
        })
    };
    hang_up()?;
    if is_account_new {
        std::thread::sleep(RELOAD_TIME);
        hang_up()?;
    }
    Ok(())
}

/// Whether a change adds an account.
fn is_new_account(change: &FileChange) -> bool {
    change.path.starts_with("accounts/") && change.from.is_none()
}

/// Returns the generated files that differ from the folder. Generated files that are no longer needed are removed;
/// files that were not generated are kept.
fn changes(dir: &Path, parties: &Parties) -> Result<Vec<FileChange>, Failure> {
    let mut wanted = accounts::files(parties);
    let recipients: Vec<&str> = parties
        .all()
        .iter()
        .filter(|party| party.role == Role::Recipient)
        .map(|party| party.name.as_str())
        .collect();
    let mut changes = Vec::new();
    if dir.join("consumers").is_dir() {
        for recipient in &recipients {
            let (path, text) = topology::consumer_file(recipient);
            // Operators may change its limits.
            if !dir.join(&path).exists() {
                wanted.push((path, text));
            }
        }
    }
    for (path, to) in &wanted {
        let from = text(&dir.join(path))?;
        if from.as_ref() != Some(to) {
            changes.push(FileChange {
                path: path.clone(),
                from,
                to: Some(to.clone()),
            });
        }
    }
    for name in names(&dir.join("accounts"))? {
        let path = format!("accounts/{name}");
        let from = text(&dir.join(&path))?;
        let generated = from
            .as_deref()
            .is_some_and(|text| text.starts_with(accounts::GENERATED));
        if generated && !wanted.iter().any(|(wanted, _)| *wanted == path) {
            changes.push(FileChange { path, from, to: None });
        }
    }
    for name in names(&dir.join("consumers"))? {
        let path = format!("consumers/{name}");
        let recipient = name.trim_end_matches(".toml");
        if name.ends_with(".toml") && !recipients.contains(&recipient) {
            let from = text(&dir.join(&path))?;
            changes.push(FileChange { path, from, to: None });
        }
    }
    Ok(changes)
}

/// Returns the sorted file names in a folder; empty if the folder does not exist.
fn names(dir: &Path) -> Result<Vec<String>, Failure> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(path_error(dir, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| path_error(dir, &error))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn text(path: &Path) -> Result<Option<String>, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(path_error(path, &error)),
    }
}

/// Replaces the file atomically.
fn write(dir: &Path, change: &FileChange) -> Result<(), Failure> {
    let path = dir.join(&change.path);
    let Some(to) = &change.to else {
        return fs::remove_file(&path).map_err(|error| path_error(&path, &error));
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| path_error(parent, &error))?;
    }
    let temporary = path.with_extension("new");
    fs::write(&temporary, to).map_err(|error| path_error(&temporary, &error))?;
    fs::rename(&temporary, &path).map_err(|error| path_error(&path, &error))
}

fn read(dir: &Path) -> Result<Parties, Failure> {
    let path = dir.join(parties::FILE);
    let text = text(&path)?.ok_or_else(|| {
        Failure::usage(format!(
            "{} does not exist; give the folder that holds server.conf and {}",
            path.display(),
            parties::FILE
        ))
    })?;
    Parties::parse(&text).map_err(refused)
}

fn party_name(name: &str) -> Result<PartyName, Failure> {
    PartyName::new(name).map_err(|error| Failure::usage(error.to_string()))
}

fn connection_key(text: String) -> Result<ConnectionKey, Failure> {
    ConnectionKey::try_from(text).map_err(Failure::usage)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn refused(error: topology::PartiesError) -> Failure {
    Failure::usage(error.to_string())
}

fn path_error(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

impl From<PartyRole> for Role {
    fn from(role: PartyRole) -> Self {
        match role {
            PartyRole::Recipient => Self::Recipient,
            PartyRole::Auditor => Self::Auditor,
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::name::RecipientName;

    use super::*;

    /// The folder of the shipped parties.
    fn shipped() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let recipient = RecipientName::new("insurer-a").unwrap();
        for (path, text) in topology::server::files(&[recipient]).unwrap() {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir(dir.path().join("consumers")).unwrap();
        let (path, text) = topology::consumer_file("insurer-a");
        fs::write(dir.path().join(path), text).unwrap();
        dir
    }

    fn at_dir(dir: &tempfile::TempDir, dry_run: bool) -> AccountDir {
        AccountDir {
            dir: dir.path().to_owned(),
            dry_run,
            reload: None,
        }
    }

    fn all_files(dir: &Path) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for folder in ["", "accounts", "consumers"] {
            for name in names(&dir.join(folder)).unwrap() {
                let path = dir.join(folder).join(&name);
                if path.is_file() {
                    all.push((format!("{folder}/{name}"), fs::read_to_string(path).unwrap()));
                }
            }
        }
        all
    }

    #[test]
    fn party_added_and_removed_leaves_the_files_as_they_were() {
        let dir = shipped();
        let before = all_files(dir.path());
        let add = |dry_run| PartyCommand::Add {
            name: "insurer-b".into(),
            role: PartyRole::Recipient,
            key: None,
            at: at_dir(&dir, dry_run),
        };
        run(add(true)).unwrap();
        assert_eq!(all_files(dir.path()), before, "a dry run writes nothing");
        run(add(false)).unwrap();
        let added = all_files(dir.path());
        assert_eq!(added.len(), before.len() + 2, "an account and consumers");
        assert!(run(add(false)).is_err(), "the name is taken");
        run(PartyCommand::Remove {
            name: "insurer-b".into(),
            at: at_dir(&dir, false),
        })
        .unwrap();
        assert_eq!(all_files(dir.path()), before);
    }

    #[test]
    fn party_key_is_added_before_the_old_one_is_removed() {
        let dir = shipped();
        let new = nkeys::KeyPair::new_user().public_key();
        let change = |add: Option<&str>, remove: Option<&str>| {
            run(PartyCommand::Key {
                name: "bureau".into(),
                add: add.map(str::to_owned),
                remove: remove.map(str::to_owned),
                at: at_dir(&dir, false),
            })
        };
        let account = || fs::read_to_string(dir.path().join("accounts/bureau.conf")).unwrap();
        assert!(
            change(None, Some("$SLACKTIDE_BUREAU_NKEY")).is_err(),
            "it is the only one"
        );
        change(Some(&new), None).unwrap();
        assert!(account().contains("$SLACKTIDE_BUREAU_NKEY") && account().contains(&new));
        change(None, Some("$SLACKTIDE_BUREAU_NKEY")).unwrap();
        assert!(!account().contains("$SLACKTIDE_BUREAU_NKEY") && account().contains(&new));
        assert!(
            change(None, Some("$SLACKTIDE_BUREAU_NKEY")).is_err(),
            "it is gone"
        );
    }

    #[test]
    fn party_list_shows_a_file_that_was_changed_by_hand() {
        let dir = shipped();
        assert_eq!(list(dir.path(), false).unwrap(), Exit::Done);
        let path = dir.path().join("accounts/hub.conf");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace("[\"auditor\"]", "[\"auditor\", \"insurer-a\"]"),
        )
        .unwrap();
        let shown = list(dir.path(), false).unwrap_err().to_string();
        assert!(
            shown.contains("accounts/hub.conf") && shown.contains("party write"),
            "{shown}"
        );
        run(PartyCommand::Write {
            at: at_dir(&dir, false),
        })
        .unwrap();
        assert_eq!(list(dir.path(), false).unwrap(), Exit::Done);
    }

    #[test]
    fn party_added_is_a_new_account_and_a_changed_one_is_not() {
        let change = |path: &str, from: Option<&str>| FileChange {
            path: path.to_owned(),
            from: from.map(str::to_owned),
            to: Some("new".to_owned()),
        };
        assert!(is_new_account(&change("accounts/insurer-c.conf", None)));
        assert!(!is_new_account(&change("accounts/insurer-c.conf", Some("old"))));
        assert!(!is_new_account(&change("consumers/insurer-c.json", None)));
    }
}
