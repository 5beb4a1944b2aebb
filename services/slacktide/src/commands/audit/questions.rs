//! The record of questions: an auditor's own chain of signed entries, in a file.
//!
//! An auditor's credential publishes nothing at the exchange, on purpose. So the question is kept next to the auditor's file: each
//! entry is an envelope of the audit entries' kind, behind its length (4 bytes, big-endian), and names the entry before it. It is
//! written before anything is read. A person is recorded as a keyed digest that only the auditor's signing key can make.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::audit::AuditEntry;
use schemas::digest::Digest;
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::{PublicKey, SigningKey};
use serde::Serialize;

use crate::cli::{Question, QuestionsArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Time, View};
use crate::settings::{PartyFile, load};

/// The writer of the chain.
const WRITER: &str = "questions";

/// A recorded question.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(in crate::commands) struct RecordedQuestion {
    /// Its number in the record: 1, 2, 3, …
    pub(super) number: u64,
    /// When it was asked, by the auditor's clock.
    at: Time,
    /// Who asked.
    actor: String,
    /// `request.trail` or `person.trail`.
    action: String,
    /// Why.
    reason: String,
    /// The request's id, or the keyed digest of the person.
    detail: BTreeMap<String, String>,
    /// The digest of the entry, which the next one names.
    pub(super) digest: String,
}

/// The recorded questions.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "audit questions")]
pub(in crate::commands) struct QuestionList {
    /// The questions, the oldest first. Each is signed and names the one before.
    items: Vec<RecordedQuestion>,
}

impl Report for QuestionList {
    fn view(&self) -> View {
        let mut view = View::new();
        for question in &self.items {
            let detail: Vec<String> = question
                .detail
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            view.line(format!(
                "{} {} {} by {}: {} ({})",
                question.number,
                question.at,
                question.action,
                question.actor,
                question.reason,
                detail.join(", ")
            ));
        }
        view.line(format!("{} questions, each signed and linked", self.items.len()));
        view
    }
}

/// Runs `audit questions`.
pub(super) fn list(args: &QuestionsArgs) -> Outcome {
    let loaded: Loaded<PartyFile> = load(&args.config.config)?;
    let record = QuestionRecord::of(&loaded)?;
    let bytes = match std::fs::read(&record.path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(record.failed(&error)),
    };
    let items = record.read(&bytes)?.iter().map(RecordedQuestion::of).collect();
    output::report(&QuestionList { items }, args.json)?;
    Ok(Exit::Done)
}

impl RecordedQuestion {
    fn of((entry, digest): &(AuditEntry, Digest)) -> Self {
        Self {
            number: entry.number,
            at: entry.at.into(),
            actor: entry.actor.clone(),
            action: entry.action.clone(),
            reason: entry.reason.clone(),
            detail: entry.detail.clone(),
            digest: digest.to_string(),
        }
    }
}

/// The file, and the key that signs.
pub(super) struct QuestionRecord {
    path: PathBuf,
    party: PartyName,
    key: std::sync::Arc<SigningKey>,
    trusted: Vec<PublicKey>,
}

impl QuestionRecord {
    /// Returns the record of an auditor.
    ///
    /// # Errors
    /// The file has no signing key.
    pub(super) fn of(loaded: &Loaded<PartyFile>) -> Result<Self, Failure> {
        let file = &loaded.value;
        let Some(signing) = &file.signing else {
            return Err(Failure::usage(format!(
                "{}: [signing] is missing, and a question is signed before it is answered; write seed = {{ file = \"keys/sign.seed\" }}",
                loaded.path.display()
            )));
        };
        let key = signing.key(loaded.folder())?;
        let mut trusted = file.trust.exporters.clone();
        trusted.push(key.public().clone());
        Ok(Self {
            path: loaded.resolve(&file.questions.path),
            party: PartyName::new(file.exchange.user.as_str()).map_err(|error| Failure::internal(&error))?,
            key,
            trusted,
        })
    }

    /// Returns the key that signs.
    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Appends a question.
    ///
    /// # Errors
    /// The file cannot be written, or its chain is not valid: then nothing is asked.
    pub(super) fn append(
        &self,
        question: &Question,
        action: &str,
        detail: BTreeMap<String, String>,
    ) -> Result<RecordedQuestion, Failure> {
        let actor = question.decision.actor()?;
        if question.decision.reason.trim().is_empty() {
            return Err(Failure::usage(
                "--reason is kept permanently and must not be empty",
            ));
        }
        let mut file = self.open().map_err(|error| self.failed(&error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| self.failed(&error))?;
        let last = self.read(&bytes)?.pop();
        let entry = AuditEntry {
            party: self.party.clone(),
            writer: PartyName::new(WRITER).map_err(|error| Failure::internal(&error))?,
            number: last.as_ref().map_or(1, |(entry, _)| entry.number + 1),
            previous: last.map(|(_, digest)| digest),
            skips: None,
            at: Timestamp::now(),
            actor,
            action: action.to_owned(),
            reason: question.decision.reason.clone(),
            detail,
            key: self.key.public().clone(),
        };
        let envelope = Envelope::sign(&entry, Vec::new(), &self.key);
        let envelope = envelope.map_err(|error| Failure::internal(&error))?;
        let digest = envelope.digest();
        let encoded = envelope.encode().map_err(|error| Failure::internal(&error))?;
        let length = u32::try_from(encoded.len()).map_err(|error| Failure::internal(&error))?;
        let record = [&length.to_be_bytes()[..], &encoded].concat();
        file.write_all(&record)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.failed(&error))?;
        Ok(RecordedQuestion::of(&(entry, digest)))
    }

    /// Opens the file for one writer at a time.
    fn open(&self) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.lock()?;
        Ok(file)
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::usage(format!(
            "{}: {error}; the question was not asked, because it could not be recorded: name a writable file under [questions] path",
            self.path.display()
        ))
    }

    /// Reads and verifies the chain.
    fn read(&self, bytes: &[u8]) -> Result<Vec<(AuditEntry, Digest)>, Failure> {
        read_chain(bytes, &self.trusted).map_err(|(number, why)| broken(&self.path, number, &why))
    }
}

fn broken(path: &Path, number: u64, why: &str) -> Failure {
    Failure::new(
        Exit::Evidence,
        format!(
            "{}: question {number} is not valid: {why}; keep the file as evidence, and name another one under [questions] path",
            path.display()
        ),
    )
}

/// PURE: returns the entries of a record.
///
/// # Errors
/// The number of the first entry that is not valid, and why.
fn read_chain(bytes: &[u8], trusted: &[PublicKey]) -> Result<Vec<(AuditEntry, Digest)>, (u64, String)> {
    let (mut entries, mut rest): (Vec<(AuditEntry, Digest)>, _) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let number = entries.len() as u64 + 1;
        let (envelope, after) = split_record(rest).ok_or((number, "its length is wrong".to_owned()))?;
        let envelope = Envelope::decode(envelope).map_err(|error| (number, error.to_string()))?;
        let entry: AuditEntry = envelope
            .verify(trusted)
            .map_err(|error| (number, error.to_string()))?;
        let previous = entries.last().map(|(_, digest)| *digest);
        if entry.number != number || entry.previous != previous {
            return Err((number, "it does not follow the entry before it".to_owned()));
        }
        entries.push((entry, envelope.digest()));
        rest = after;
    }
    Ok(entries)
}

/// PURE: splits the first record off.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(folder: &Path) -> QuestionRecord {
        let key = SigningKey::generate();
        QuestionRecord {
            path: folder.join("questions.slq"),
            party: "auditor".parse().unwrap(),
            trusted: vec![key.public().clone()],
            key: std::sync::Arc::new(key),
        }
    }

    fn question(reason: &str) -> Question {
        Question {
            config: crate::cli::Config {
                config: PathBuf::new(),
            },
            decision: crate::cli::decision::Decision {
                actor: Some("li.na".to_owned()),
                reason: reason.to_owned(),
            },
            json: false,
        }
    }

    #[test]
    fn question_record_finds_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let record = record(folder.path());
        for reason in ["one", "two", "three"] {
            let asked = record.append(&question(reason), "request.trail", BTreeMap::new());
            asked.unwrap();
        }
        let bytes = std::fs::read(&record.path).unwrap();
        let entries = read_chain(&bytes, &record.trusted).unwrap();
        assert_eq!(entries.len(), 3);
        let (first, rest) = split_record(&bytes).unwrap();
        let (second, third) = split_record(rest).unwrap();
        for changed in [
            bytes[..bytes.len() - 1].to_vec(),
            rest.to_vec(),
            [&bytes[..first.len() + 4], third].concat(),
            [&bytes[..], &bytes[..second.len()]].concat(),
        ] {
            assert!(read_chain(&changed, &record.trusted).is_err());
        }
        let mut flipped = bytes.clone();
        flipped[40] ^= 1;
        std::fs::write(&record.path, flipped).unwrap();
        let refused = record.append(&question("four"), "request.trail", BTreeMap::new());
        assert_eq!(refused.unwrap_err().exit, Exit::Evidence);
    }

    #[test]
    fn question_without_a_reason_is_not_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let record = record(folder.path());
        assert!(
            record
                .append(&question(" "), "person.trail", BTreeMap::new())
                .is_err()
        );
        assert!(!record.path.exists());
    }
}
