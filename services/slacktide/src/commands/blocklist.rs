//! `slacktide blocklist import|show`: persons about whom nothing is sent.
//!
//! An import accepts the whole file or nothing, appends to the audit chain first, and replaces the list atomically. The
//! list holds digests made with the bureau's signing key; nothing printed, logged or signed identifies a person.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::exchange::Exchange;
use disclosure::blocklist::{BlockList, file};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::digest::Digest;
use schemas::name::FeedName;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::value::Value;
use serde::Serialize;
use social::audit_log::{AuditEvent, AuditLogError, append};
use social::blocklist::{BlockListError, digest, read};

use super::operator::Operator;
use crate::cli::Config;
use crate::cli::blocklist::{BlocklistCommand, ImportArgs};
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, View};
use crate::settings::{SocialFile, load};

/// Runs a subcommand.
pub(crate) async fn run(command: BlocklistCommand) -> Outcome {
    match command {
        BlocklistCommand::Import(args) => import(args).await,
        BlocklistCommand::Show { config, json } => show(&config, json),
    }
}

async fn import(args: ImportArgs) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&args.config.config)?;
    let path = path(&loaded)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let persons = PersonKey::of(&key).map_err(|error| Failure::internal(&error))?;
    let bytes = std::fs::read(&args.file)
        .map_err(|error| Failure::usage(format!("{}: {error}; give the list's file", args.file.display())))?;
    let list = file::read(&bytes, &persons)
        .map_err(|error| Failure::usage(format!("{}: {error}", args.file.display())))?;
    let actor = args.decision.actor()?;
    check_names_no_person(&list, &persons, &actor, &args.decision.reason)?;
    let before = match read(&path, &persons) {
        Ok(before) => Some(before),
        Err(BlockListError::Unreadable { .. }) if !path.exists() => None,
        Err(error) => {
            output::note(&format!("note: replacing an unusable list: {error}"));
            None
        }
    };
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.made > list.made && !args.older)
    {
        return Err(Failure::usage(format!(
            "{} is of {}, and the list in force of {}: an older list lacks persons of the newer one; give \
             --older to accept it",
            args.file.display(),
            list.made,
            before.made
        )));
    }
    sign(&loaded, &key, (actor, args.decision.reason), &list).await?;
    replace_list(&path, &list)?;
    print(&loaded, &path, &list, before.as_ref(), args.json)?;
    Ok(Exit::Done)
}

fn show(config: &Config, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let path = path(&loaded)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let persons = PersonKey::of(&key).map_err(|error| Failure::internal(&error))?;
    let list = read(&path, &persons).map_err(|error| Failure::new(Exit::Unfinished, error.to_string()))?;
    print(&loaded, &path, &list, None, json)?;
    Ok(Exit::Done)
}

fn path(loaded: &Loaded<SocialFile>) -> Result<PathBuf, Failure> {
    let table = loaded.value.blocklist.as_ref().ok_or_else(|| {
        Failure::usage(format!(
            "{}: there is no [blocklist]; write path = \"blocklist\" under it, import, then restart the agent",
            loaded.path.display()
        ))
    })?;
    Ok(loaded.resolve(&table.path))
}

/// Refuses a reason or actor that names a person of the list: both are kept permanently and shown.
fn check_names_no_person(
    list: &BlockList,
    persons: &PersonKey,
    actor: &str,
    reason: &str,
) -> Result<(), Failure> {
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept permanently and must not be empty",
        ));
    }
    let blocked = list
        .with_key(persons)
        .map_err(|error| Failure::internal(&error))?;
    let words = [actor, reason].into_iter().flat_map(|text| {
        let parts = text.split(|sign: char| !sign.is_alphanumeric());
        parts.chain(text.split_whitespace()).chain([text])
    });
    for word in words {
        if blocked.contains_value(Value::Text(word)) {
            return Err(Failure::usage(
                "the reason or the actor names a person of the list: both are kept permanently and shown; leave the \
                 number out",
            ));
        }
    }
    Ok(())
}

async fn sign(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
    (actor, reason): (String, String),
    list: &BlockList,
) -> Result<(), Failure> {
    let file = &loaded.value;
    let exchange = ExchangeClient::connect(file.exchange.command_options(loaded.folder())?).await?;
    let operator = Operator::new()?;
    let signer = operator.signer(key, &file.trust.operators, &file.social.name);
    let act = AuditEvent {
        actor,
        action: "blocklist.import".to_owned(),
        reason,
        detail: BTreeMap::from([
            ("persons".to_owned(), list.len().to_string()),
            ("made".to_owned(), list.made.to_string()),
            ("digest".to_owned(), digest(list).to_string()),
        ]),
    };
    let signed = append(&exchange, &signer, &act).await;
    exchange.close().await;
    signed.map(|_| ()).map_err(|error| {
        let (exit, why) = match error {
            AuditLogError::Exchange(error) => {
                let failure = Failure::from(error);
                (failure.exit, failure.to_string())
            }
            other => (Exit::Unfinished, other.to_string()),
        };
        let what = format!("nothing was imported: cannot append to the audit chain: {why}");
        Failure::new(exit, what)
    })
}

/// Replaces the list atomically: an agent reads the old or the new one.
fn replace_list(path: &Path, list: &BlockList) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Unfinished,
            format!(
                "{}: {error}; the file is unchanged; fix this and import again",
                path.display()
            ),
        )
    };
    let bytes = serde_json::to_vec(list).map_err(|error| Failure::internal(&error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    temporary.write_all(&bytes).map_err(|error| failed(&error))?;
    // Keep the owner of the previous file, or of the folder: the agent must be able to read it.
    let (reference, keep_mode) = match std::fs::metadata(path) {
        Ok(before) => (Ok(before), true),
        Err(_) => (std::fs::metadata(folder), false),
    };
    let (reference, own) = (
        reference.map_err(|error| failed(&error))?,
        temporary.as_file().metadata().map_err(|error| failed(&error))?,
    );
    if (reference.uid(), reference.gid()) != (own.uid(), own.gid())
        && let Err(error) =
            std::os::unix::fs::fchown(temporary.as_file(), Some(reference.uid()), Some(reference.gid()))
    {
        output::note(&format!(
            "note: the list has another owner than before ({error}); check that the agent can read {}",
            path.display()
        ));
    }
    if keep_mode {
        let permissions = std::fs::Permissions::from_mode(reference.mode() & 0o777);
        temporary
            .as_file()
            .set_permissions(permissions)
            .map_err(|error| failed(&error))?;
    }
    temporary.as_file().sync_all().map_err(|error| failed(&error))?;
    temporary.persist(path).map_err(|error| failed(&error.error))?;
    let folder = std::fs::File::open(folder).map_err(|error| failed(&error))?;
    folder.sync_all().map_err(|error| failed(&error))
}

fn print(
    loaded: &Loaded<SocialFile>,
    path: &Path,
    list: &BlockList,
    before: Option<&BlockList>,
    json: bool,
) -> Result<(), Failure> {
    let feeds = loaded.value.feeds.iter();
    let without_person: Vec<FeedName> = feeds
        .filter(|feed| feed.person.is_none())
        .map(|feed| feed.name.clone())
        .collect();
    let report = BlockListReport {
        path: path.display().to_string(),
        persons: list.len(),
        made: list.made.to_string(),
        digest: digest(list),
        before: before.map(|before| ListBefore {
            persons: before.len(),
            made: before.made.to_string(),
        }),
        feeds_without_person: without_person.clone(),
    };
    output::report(&report, json)?;
    if json {
        return Ok(());
    }
    for feed in without_person {
        output::note(&format!(
            "note: feed {feed} names no person column, so the list withholds none of its rows; write `person = \"…\"` there if \
             it holds rows of persons"
        ));
    }
    Ok(())
}

/// The block list in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "blocklist show, blocklist import")]
pub(super) struct BlockListReport {
    /// The file of the list.
    path: String,
    /// The persons on it.
    persons: usize,
    /// The date that the imported file gives.
    made: String,
    /// The digest of the list.
    digest: Digest,
    /// The list that an import replaced.
    before: Option<ListBefore>,
    /// The feeds without a person column: the list withholds none of their rows.
    feeds_without_person: Vec<FeedName>,
}

/// A replaced list.
#[derive(Debug, Serialize, JsonSchema)]
struct ListBefore {
    /// The persons on it.
    persons: usize,
    /// Its date.
    made: String,
}

impl Report for BlockListReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!(
            "{}: {} persons, of {}, digest {}",
            self.path, self.persons, self.made, self.digest
        ));
        if let Some(before) = &self.before {
            view.line(format!("before: {} persons, of {}", before.persons, before.made));
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PersonKey {
        PersonKey::of(&SigningKey::generate()).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn list(key: &PersonKey, persons: &[&str]) -> BlockList {
        let digests = persons.iter().map(|person| key.token(person).digest).collect();
        BlockList::new(jiff::civil::date(2026, 1, 31), key, digests)
    }

    #[test]
    fn blocklist_is_replaced_and_names_no_person() -> std::io::Result<()> {
        let (folder, key) = (tempfile::tempdir()?, key());
        let path = folder.path().join("lists/blocklist");
        for persons in [&["31010004711"][..], &["31010004712", "31010004713"]] {
            let list = list(&key, persons);
            assert!(replace_list(&path, &list).is_ok());
            assert_eq!(read(&path, &key), Ok(list));
            let kept = std::fs::read_to_string(&path)?;
            assert!(persons.iter().all(|person| !kept.contains(person)));
        }
        assert_eq!(std::fs::metadata(&path)?.mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
        assert!(replace_list(&path, &list(&key, &["1"])).is_ok());
        assert_eq!(std::fs::metadata(&path)?.mode() & 0o777, 0o640);
        // No temporary file is left.
        assert_eq!(std::fs::read_dir(folder.path().join("lists"))?.count(), 1);
        Ok(())
    }

    #[test]
    fn blocklist_reason_that_names_a_person_is_refused() {
        let key = key();
        let list = list(&key, &["31010004711"]);
        assert!(check_names_no_person(&list, &key, "li.na", "consents of January").is_ok());
        for reason in [
            "31010004711",
            "withdrawn (31010004711)",
            "number 31010004711.",
            " ",
        ] {
            assert!(
                check_names_no_person(&list, &key, "li.na", reason).is_err(),
                "{reason}"
            );
        }
        assert!(check_names_no_person(&list, &key, "31010004711", "consents").is_err());
    }
}
