//! Reading the topology: from a directory, or as it ships inside the binary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemas::name::RecipientName;

use super::parties::{FILE, Parties, PartiesError};
use super::spec::{ConsumerFile, ConsumerSpec, StreamSpec, Topology};

/// The recipient whose files ship, and are the pattern for every other one.
const PATTERN: &str = "insurer-a";

const STREAMS: [(&str, &str); 13] = [
    (
        "streams/approvals.toml",
        include_str!("../../streams/approvals.toml"),
    ),
    ("streams/audit.toml", include_str!("../../streams/audit.toml")),
    ("streams/cancels.toml", include_str!("../../streams/cancels.toml")),
    (
        "streams/confirms.toml",
        include_str!("../../streams/confirms.toml"),
    ),
    ("streams/control.toml", include_str!("../../streams/control.toml")),
    ("streams/data.toml", include_str!("../../streams/data.toml")),
    ("streams/leases.toml", include_str!("../../streams/leases.toml")),
    ("streams/parts.toml", include_str!("../../streams/parts.toml")),
    (
        "streams/progress.toml",
        include_str!("../../streams/progress.toml"),
    ),
    (
        "streams/receipts.toml",
        include_str!("../../streams/receipts.toml"),
    ),
    ("streams/replies.toml", include_str!("../../streams/replies.toml")),
    (
        "streams/requests.toml",
        include_str!("../../streams/requests.toml"),
    ),
    ("streams/status.toml", include_str!("../../streams/status.toml")),
];

const CONSUMERS: &str = include_str!("../../consumers/insurer-a.toml");

/// What is wrong with a file of the topology.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file or directory cannot be read.
    #[error("{path}: {source}; give the directory that holds parties.toml, streams/ and consumers/")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file has invalid content.
    #[error("{path}: {what}")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Line, column and what was expected.
        what: String,
    },
}

/// Reads `parties.toml`, `streams/*.toml` and `consumers/*.toml` under a directory.
///
/// # Errors
/// [`FilesError`] with the file and the line: unreadable, unknown key, doubled name, a consumer
/// of no stream.
pub fn load(dir: &Path) -> Result<Topology, FilesError> {
    let mut texts = Vec::new();
    for part in ["streams", "consumers"] {
        for path in toml_files(&dir.join(part))? {
            let text = std::fs::read_to_string(&path).map_err(|source| FilesError::Read {
                path: path.clone(),
                source,
            })?;
            texts.push((part, path, text));
        }
    }
    let path = dir.join(FILE);
    let parties = match std::fs::read_to_string(&path) {
        Ok(text) => parsed(&path, Parties::parse(&text))?,
        Err(source) => return Err(FilesError::Read { path, source }),
    };
    parse(texts, &parties)
}

fn parsed(path: &Path, parties: Result<Parties, PartiesError>) -> Result<Parties, FilesError> {
    parties.map_err(|error| FilesError::Parse {
        path: path.to_owned(),
        what: error.to_string(),
    })
}

/// The shipped topology, for these recipients.
///
/// # Errors
/// [`FilesError`] when two recipients cannot be distinguished, or if a shipped file is invalid, which a test excludes.
pub fn embedded(recipients: &[RecipientName]) -> Result<Topology, FilesError> {
    let parties = parsed(Path::new(FILE), Parties::shipped(recipients))?;
    let mut texts: Vec<(&str, PathBuf, String)> = STREAMS
        .iter()
        .map(|(path, text)| ("streams", PathBuf::from(path), (*text).to_owned()))
        .collect();
    for recipient in recipients {
        let (path, text) = consumer_file(recipient.as_str());
        texts.push(("consumers", PathBuf::from(path), text));
    }
    parse(texts, &parties)
}

/// The file of a recipient's consumers, as path below the folder and text.
#[must_use]
pub fn consumer_file(recipient: &str) -> (String, String) {
    let path = format!("consumers/{recipient}.toml");
    (path, CONSUMERS.replace(PATTERN, recipient))
}

fn toml_files(dir: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let read = |source| FilesError::Read {
        path: dir.to_owned(),
        source,
    };
    let entries: Result<Vec<PathBuf>, _> = std::fs::read_dir(dir)
        .map_err(read)?
        .map(|e| e.map(|e| e.path()))
        .collect();
    let mut paths = entries.map_err(read)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    Ok(paths)
}

fn parse(texts: Vec<(&str, PathBuf, String)>, parties: &Parties) -> Result<Topology, FilesError> {
    let mut topology = Topology::default();
    let mut seen = BTreeSet::new();
    for (part, path, text) in texts {
        let wrong = |what: String| FilesError::Parse {
            path: path.clone(),
            what,
        };
        if part == "streams" {
            let stream: StreamSpec = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
            if stream.each.is_some() != stream.name.contains("{party}") {
                return Err(wrong(format!(
                    "stream {}: write each and {{party}} together, or neither",
                    stream.name
                )));
            }
            if !stream.is_age_limit_allowed() {
                return Err(wrong(format!(
                    "stream {}: max_age_seconds would remove messages that others rely on; leave it out",
                    stream.name
                )));
            }
            for stream in stream.expanded(parties) {
                if !seen.insert((stream.name.clone(), None)) {
                    return Err(wrong(format!(
                        "stream {} is in another file already",
                        stream.name
                    )));
                }
                topology.streams.push(stream);
            }
        } else {
            let file: ConsumerFile = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
            for consumer in file.consumer {
                add(&mut topology.consumers, &mut seen, consumer).map_err(wrong)?;
            }
        }
    }
    topology.streams.sort_by(|a, b| a.name.cmp(&b.name));
    topology
        .consumers
        .sort_by(|a, b| (&a.stream, &a.name).cmp(&(&b.stream, &b.name)));
    Ok(topology)
}

fn add(
    consumers: &mut Vec<ConsumerSpec>,
    seen: &mut BTreeSet<(String, Option<String>)>,
    consumer: ConsumerSpec,
) -> Result<(), String> {
    let ConsumerSpec { stream, name, .. } = &consumer;
    // Streams are read first, so a stream that is not there now never comes.
    if !seen.contains(&(stream.clone(), None)) {
        return Err(format!(
            "consumer {name} reads stream {stream}, which no file under streams/ describes"
        ));
    }
    if !seen.insert((stream.clone(), Some(name.clone()))) {
        return Err(format!("consumer {name} of stream {stream} is described twice"));
    }
    consumers.push(consumer);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipients() -> Vec<RecipientName> {
        ["insurer-a", "insurer-b"]
            .map(|name| RecipientName::new(name).unwrap())
            .to_vec()
    }

    fn one(part: &'static str, text: &str) -> Result<Topology, FilesError> {
        let parties = Parties::shipped(&recipients()).unwrap();
        parse(vec![(part, PathBuf::from("x.toml"), text.to_owned())], &parties)
    }

    #[test]
    fn topology_shipped_files_equal_those_on_disk() {
        let shipped = embedded(&recipients()[..1]).unwrap();
        let on_disk = load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{on_disk:?}"));
        assert_eq!(embedded(&recipients()).unwrap().consumers.len(), 4);
    }

    /// Traps: an age limit forks a chain, discarding the old loses chunks, memory is no storage.
    #[test]
    fn shipped_streams_drop_no_messages() {
        for stream in embedded(&recipients()).unwrap().streams {
            assert_eq!(stream.storage, "file", "{}", stream.name);
            assert!(stream.max_bytes > 0, "{}", stream.name);
            let kind = stream.name.split('_').next().unwrap();
            assert_eq!(
                stream.discard == "old",
                ["LEASES", "PROGRESS", "STATUS"].contains(&kind),
                "{}",
                stream.name
            );
            assert!(stream.deny_delete, "{}", stream.name);
            let once = ["REQUESTS", "CANCELS", "APPROVALS", "PARTS", "REPLIES", "CONFIRMS"].contains(&kind);
            assert_eq!(stream.discard_new_per_subject, once, "{}", stream.name);
            let one = stream.max_msgs_per_subject == 1;
            assert_eq!(one, once || stream.discard == "old", "{}", stream.name);
            assert_eq!(stream.max_age_seconds > 0, kind == "STATUS", "{}", stream.name);
        }
    }

    /// What a party stores takes no room from another one: the subjects of two parties are in two streams.
    #[test]
    fn stream_with_subjects_of_one_party_holds_no_other() {
        let topology = embedded(&recipients()).unwrap();
        let parties = Parties::shipped(&recipients()).unwrap();
        let publishers = |stream: &StreamSpec| -> Vec<String> {
            let publishes = |party: &&super::super::parties::Party| {
                let rights = super::super::rights::rights(party, &parties);
                let publish = rights
                    .iter()
                    .filter(|right| right.purpose == super::super::rights::Purpose::Publish);
                publish.into_iter().any(|right| {
                    stream.subjects.iter().any(|subject| {
                        let (a, b): (Vec<&str>, Vec<&str>) =
                            (right.hub.split('.').collect(), subject.split('.').collect());
                        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a == b || *a == "*" || *b == "*")
                    })
                })
            };
            parties
                .all()
                .iter()
                .filter(publishes)
                .map(|party| party.name.to_string())
                .collect()
        };
        for stream in &topology.streams {
            let publishers = publishers(stream);
            assert!(
                publishers.len() <= 1,
                "{} is filled by {publishers:?}",
                stream.name
            );
            let kind = stream.name.split('_').next().unwrap();
            let is_small = !["DATA", "REPLIES", "PARTS", "APPROVALS", "PROGRESS", "LEASES"].contains(&kind);
            assert!(
                !is_small || (1..=524_288).contains(&stream.max_msg_size),
                "{}",
                stream.name
            );
        }
    }

    #[test]
    fn topology_unknown_key_error_has_its_position() {
        let text = "name = \"A\"\nsubjects = [\"a\"]\nmax_bytes = 1\nmax_age = 5\n";
        let error = one("streams", text).unwrap_err().to_string();
        assert!(
            error.contains("x.toml") && error.contains("line 4") && error.contains("max_age"),
            "{error}"
        );
    }

    /// Trap: the head of a quiet subject would be removed, and the next publisher would fork the chain.
    #[test]
    fn topology_age_limit_of_a_chain_is_refused() {
        let chain = "name = \"A\"\nsubjects = [\"a\"]\nmax_bytes = 1\nmax_age_seconds = 5\n";
        let error = one("streams", chain).unwrap_err().to_string();
        assert!(error.contains("max_age_seconds"), "{error}");
        let last = format!("{chain}discard = \"old\"\nmax_msgs_per_subject = 1\n");
        assert!(one("streams", &last).is_ok());
    }

    #[test]
    fn topology_consumer_without_stream_is_an_error() {
        let error = one("consumers", CONSUMERS).unwrap_err().to_string();
        assert!(error.contains("no file under streams/ describes"), "{error}");
    }
}
