//! `slacktide blocklist import|show`: persons about whom nothing is sent.
//!
//! A file is taken whole or not at all, signed into the audit chain first, and put in the place of the list before in one
//! step. What is kept are digests that only the bureau's signing key can make; nothing printed, logged or signed
//! names anybody.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::exchange::Exchange;
use clap::{Args, Subcommand};
use nats::JetStream;
use requests::blocklist::{BlockList, file};
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::FeedName;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use schemas::value::Value;
use social::act::{Act, ActError, append};
use social::blocklist::{BlockListError, digest, read};

use super::operator::{Operator, actor};
use crate::cli::Config;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// The commands of the block list.
#[derive(Debug, Subcommand)]
pub(crate) enum BlocklistCommand {
    /// Puts a file's persons in the place of the list before. In force within 5 s. Signed and audited.
    #[command(
        after_help = "The file, all of it or nothing:\n  HDR,slacktide-blocklist,1,2026-01-31\n  PSN,31010004711\n  TRL,1\n\nExample:\n  slacktide blocklist import --reason \"consents of January\" --config config/social.toml withdrawn.csv"
    )]
    Import(ImportArgs),
    /// Shows how many persons are on the list, of which day it is, and its digest. Names nobody.
    #[command(after_help = "Example:\n  slacktide blocklist show --config config/social.toml")]
    Show {
        #[command(flatten)]
        config: Config,
        /// Prints it as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What an import says.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    config: Config,
    /// Who decides. Left out: the login name.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Why. It is signed and kept; name no person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Takes a list that is older than the one in force, too.
    #[arg(long)]
    older: bool,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs a command to its end.
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
        .map_err(|bad| Failure::usage(format!("{}: {bad}", args.file.display())))?;
    let actor = actor(args.actor, "decides")?;
    said(&list, &persons, &actor, &args.reason)?;
    let before = match read(&path, &persons) {
        Ok(before) => Some(before),
        Err(BlockListError::Unreadable { .. }) if !path.exists() => None,
        Err(error) => {
            output::note(&format!("note: what is there now is replaced: {error}"));
            None
        }
    };
    if let Some(before) = before
        .as_ref()
        .filter(|before| before.made > list.made && !args.older)
    {
        return Err(Failure::usage(format!(
            "{} is of {}, and the list in force of {}: an older list would let persons pass who are on the newer one; give \
             --older if that is meant",
            args.file.display(),
            list.made,
            before.made
        )));
    }
    sign(&loaded, &key, (actor, args.reason), &list).await?;
    put(&path, &list)?;
    tell(&loaded, &path, &list, before.as_ref(), args.json)?;
    Ok(Exit::Done)
}

fn show(config: &Config, json: bool) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&config.config)?;
    let path = path(&loaded)?;
    let key = loaded.value.signing.key(loaded.folder())?;
    let persons = PersonKey::of(&key).map_err(|error| Failure::internal(&error))?;
    let list = read(&path, &persons).map_err(|error| Failure::new(Exit::Unfinished, error.to_string()))?;
    tell(&loaded, &path, &list, None, json)?;
    Ok(Exit::Done)
}

fn path(loaded: &Loaded<SocialFile>) -> Result<PathBuf, Failure> {
    let table = loaded.value.blocklist.as_ref().ok_or_else(|| {
        Failure::usage(format!(
            "{}: there is no [blocklist]; write path = \"blocklist\" under it, import, then start the agent again",
            loaded.path.display()
        ))
    })?;
    Ok(loaded.resolve(&table.path))
}

/// The reason and the actor are kept for ever and shown, so they name nobody on the list.
fn said(list: &BlockList, persons: &PersonKey, actor: &str, reason: &str) -> Result<(), Failure> {
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept for ever and must say something",
        ));
    }
    let blocked = list.under(persons).map_err(|error| Failure::internal(&error))?;
    let words = [actor, reason].into_iter().flat_map(|text| {
        let parts = text.split(|sign: char| !sign.is_alphanumeric());
        parts.chain(text.split_whitespace()).chain([text])
    });
    for word in words {
        if blocked.names(Value::Text(word)) {
            return Err(Failure::usage(
                "the reason or the actor names a person of the list: both are kept for ever and shown; say it without the \
                 number",
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
    let exchange = JetStream::connect(file.exchange.command(loaded.folder())?).await?;
    let operator = Operator::new()?;
    let who = operator.signs(key, &file.trust.operators, &file.social.name);
    let act = Act {
        actor,
        action: "blocklist.import".to_owned(),
        reason,
        detail: BTreeMap::from([
            ("persons".to_owned(), list.len().to_string()),
            ("made".to_owned(), list.made.to_string()),
            ("digest".to_owned(), digest(list).to_string()),
        ]),
    };
    let signed = append(&exchange, &who, &act).await;
    exchange.close().await;
    signed.map(|_| ()).map_err(|error| {
        let (exit, why) = match error {
            ActError::Exchange(error) => {
                let failure = Failure::from(error);
                (failure.exit, failure.to_string())
            }
            other => (Exit::Unfinished, other.to_string()),
        };
        let what = format!("nothing was imported, for it could not be signed into the audit chain: {why}");
        Failure::new(exit, what)
    })
}

/// Puts the list in the place of the one before: an agent that looks at the same moment sees one or the other.
fn put(path: &Path, list: &BlockList) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Unfinished,
            format!(
                "{}: {error}; the file there is as it was before: mend this and import again",
                path.display()
            ),
        )
    };
    let bytes = serde_json::to_vec(list).map_err(|error| Failure::internal(&error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let mut fresh = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    fresh.write_all(&bytes).map_err(|error| failed(&error))?;
    // The agent has to read it, whoever imports: as the file before, or as the folder that it is in.
    let (like, mode) = match std::fs::metadata(path) {
        Ok(before) => (Ok(before), true),
        Err(_) => (std::fs::metadata(folder), false),
    };
    let (like, own) = (
        like.map_err(|error| failed(&error))?,
        fresh.as_file().metadata().map_err(|error| failed(&error))?,
    );
    if (like.uid(), like.gid()) != (own.uid(), own.gid())
        && let Err(error) = std::os::unix::fs::fchown(fresh.as_file(), Some(like.uid()), Some(like.gid()))
    {
        output::note(&format!(
            "note: the list belongs to another user than the one before ({error}); see that the agent can read {}",
            path.display()
        ));
    }
    if mode {
        let permissions = std::fs::Permissions::from_mode(like.mode() & 0o777);
        fresh
            .as_file()
            .set_permissions(permissions)
            .map_err(|error| failed(&error))?;
    }
    fresh.as_file().sync_all().map_err(|error| failed(&error))?;
    fresh.persist(path).map_err(|error| failed(&error.error))?;
    let folder = std::fs::File::open(folder).map_err(|error| failed(&error))?;
    folder.sync_all().map_err(|error| failed(&error))
}

fn tell(
    loaded: &Loaded<SocialFile>,
    path: &Path,
    list: &BlockList,
    before: Option<&BlockList>,
    json: bool,
) -> Result<(), Failure> {
    let feeds = loaded.value.feeds.iter();
    let silent: Vec<&FeedName> = feeds
        .filter(|feed| feed.person.is_none())
        .map(|feed| &feed.name)
        .collect();
    if json {
        return output::json(&serde_json::json!({
            "path": path, "persons": list.len(), "made": list.made, "digest": digest(list),
            "persons_before": before.map(BlockList::len), "feeds_without_person": silent,
        }));
    }
    output::line(&format!(
        "{}: {} persons, of {}, digest {}",
        path.display(),
        list.len(),
        list.made,
        digest(list)
    ));
    if let Some(before) = before {
        output::line(&format!("before: {} persons, of {}", before.len(), before.made));
    }
    for feed in silent {
        output::note(&format!(
            "note: feed {feed} names no person column, so the list keeps nothing of it back; write `person = \"…\"` there if \
             it holds rows of persons"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PersonKey {
        PersonKey::of(&SigningKey::generate()).unwrap_or_else(|error| unreachable!("{error}"))
    }

    fn list(key: &PersonKey, persons: &[&str]) -> BlockList {
        let digests = persons.iter().map(|person| key.mark(person).digest).collect();
        BlockList::new(jiff::civil::date(2026, 1, 31), key, digests)
    }

    #[test]
    fn a_list_is_put_in_the_place_of_another_and_names_nobody() -> std::io::Result<()> {
        let (folder, key) = (tempfile::tempdir()?, key());
        let path = folder.path().join("lists/blocklist");
        for persons in [&["31010004711"][..], &["31010004712", "31010004713"]] {
            let list = list(&key, persons);
            assert!(put(&path, &list).is_ok());
            assert_eq!(read(&path, &key), Ok(list));
            let kept = std::fs::read_to_string(&path)?;
            assert!(persons.iter().all(|person| !kept.contains(person)));
        }
        assert_eq!(std::fs::metadata(&path)?.mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640))?;
        assert!(put(&path, &list(&key, &["1"])).is_ok());
        assert_eq!(std::fs::metadata(&path)?.mode() & 0o777, 0o640);
        // Nothing is left beside it.
        assert_eq!(std::fs::read_dir(folder.path().join("lists"))?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_reason_that_names_a_person_of_the_list_is_refused() {
        let key = key();
        let list = list(&key, &["31010004711"]);
        assert!(said(&list, &key, "li.na", "consents of January").is_ok());
        for reason in [
            "31010004711",
            "withdrawn (31010004711)",
            "number 31010004711.",
            " ",
        ] {
            assert!(said(&list, &key, "li.na", reason).is_err(), "{reason}");
        }
        assert!(said(&list, &key, "31010004711", "consents").is_err());
    }
}
