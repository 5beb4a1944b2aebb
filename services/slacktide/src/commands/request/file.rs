//! Files one request, or a file of them, straight at the exchange.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::{Ask, Client, RequestId};

use super::lines::{self, Defaults, Line};
use super::{FileArgs, actor, client, failed};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{CommercialFile, load};

/// Requests that are under way at once.
const AT_ONCE: usize = 32;

pub(super) async fn run(args: FileArgs) -> Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.at.config.config)?;
    let defaults = Defaults {
        actor: actor(args.actor)?,
        purpose: args.purpose,
        basis: args.basis,
        deadline: args.deadline,
    };
    if let Some(path) = args.from {
        return all(&loaded, &path, &defaults, args.at.json).await;
    }
    let mut line = Line {
        // A name that nobody else has: asked again it is another request.
        key: Some(
            args.key
                .unwrap_or_else(|| format!("cli-{:016x}", rand::random::<u64>())),
        ),
        kind: args.kind,
        ..Line::default()
    };
    for text in &args.arguments {
        let (name, value) = lines::argument(text).map_err(Failure::usage)?;
        if line.arguments.contains_key(&name) {
            return Err(Failure::usage(format!(
                "--arg {name} is given twice: give each argument once"
            )));
        }
        line.arguments.insert(name, value);
    }
    let ask = line.ask(&defaults, Timestamp::now()).map_err(Failure::usage)?;
    let client = client(&loaded).await?;
    let filed = client.file(&ask).await;
    client.close().await;
    let id = filed.map_err(failed)?;
    if args.at.json {
        output::json(&serde_json::json!({ "id": id }))?;
    } else {
        output::line(&format!(
            "filed as {id}; `slacktide request show {id}` tells how it stands"
        ));
    }
    Ok(Exit::Done)
}

/// What became of the lines of a file.
#[derive(Default)]
struct Counted {
    filed: Vec<RequestId>,
    /// Line, why, and the line itself.
    rejected: Vec<(usize, String, String)>,
}

async fn all(loaded: &Loaded<CommercialFile>, path: &Path, defaults: &Defaults, json: bool) -> Outcome {
    let read = read(path)?;
    let now = Timestamp::now();
    let (mut counted, mut asks) = (Counted::default(), Vec::new());
    for (number, raw, line) in read {
        match line.and_then(|line| line.ask(defaults, now)) {
            Ok(ask) => asks.push((number, raw, ask)),
            Err(why) => counted.rejected.push((number, why, raw)),
        }
    }
    let client = client(loaded).await?;
    let filed = file(&client, asks, &mut counted).await;
    client.close().await;
    let aside = aside(path, &counted)?;
    filed?;
    if json {
        let rejected: Vec<_> = counted
            .rejected
            .iter()
            .map(|(line, why, _)| serde_json::json!({ "line": line, "why": why }))
            .collect();
        output::json(&serde_json::json!({ "filed": counted.filed, "rejected": rejected, "aside": aside }))?;
    } else {
        output::line(&format!("{} requests are at the exchange", counted.filed.len()));
        for (line, why, _) in &counted.rejected {
            output::note(&format!("{}:{line}: {why}", path.display()));
        }
        if let Some(aside) = &aside {
            output::note(&format!(
                "{} lines were put aside in {}: correct them there and file that file",
                counted.rejected.len(),
                aside.display()
            ));
        }
    }
    Ok(if counted.rejected.is_empty() {
        Exit::Done
    } else {
        Exit::Unfinished
    })
}

/// Files them, some at once. What the exchange does not take for good is rejected; what time may mend ends it, and the
/// file may be filed again as it is.
async fn file(
    client: &Client,
    asks: Vec<(usize, String, Ask)>,
    counted: &mut Counted,
) -> Result<(), Failure> {
    let mut filing = stream::iter(asks)
        .map(|(number, raw, ask)| async move { (number, raw, client.file(&ask).await) })
        .buffered(AT_ONCE);
    while let Some((number, raw, filed)) = filing.next().await {
        match filed {
            Ok(id) => counted.filed.push(id),
            Err(slacktide_client::Error::Exchange(error)) => return Err(error.into()),
            Err(error) => counted.rejected.push((number, error.to_string(), raw)),
        }
    }
    counted.rejected.sort_unstable();
    Ok(())
}

type Read = Vec<(usize, String, Result<Line, String>)>;

fn read(path: &Path) -> Result<Read, Failure> {
    let told = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    if path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
    {
        return records(&text).map_err(|why| told(&why));
    }
    let filled = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    Ok(filled
        .map(|(number, line)| (number + 1, line.to_owned(), lines::json(line)))
        .collect())
}

/// The records of CSV with the lines that they begin at; an error where there is no header of different names. One that does not fit the
/// header is rejected as it stands, so that nothing of it is lost.
fn records(text: &str) -> Result<Read, &'static str> {
    // Strictness would drop what does not fit.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|_| "its first line is no header")?
        .clone();
    let mut names: Vec<&str> = header.iter().map(str::trim).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("its header names a column twice: name each once");
    }
    let record = |(number, record): (usize, Result<csv::StringRecord, csv::Error>)| {
        let Ok(record) = record else {
            return (number + 2, String::new(), Err("it cannot be read".to_owned()));
        };
        let at = record.position().and_then(|at| usize::try_from(at.line()).ok());
        let line = if record.len() == header.len() {
            Ok(lines::csv(&header, &record))
        } else {
            Err(format!(
                "it has {} columns, and the header {}",
                record.len(),
                header.len()
            ))
        };
        (at.unwrap_or(number + 2), joined(&record), line)
    };
    Ok(reader.records().enumerate().map(record).collect())
}

fn joined(record: &csv::StringRecord) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer
        .write_record(record)
        .ok()
        .and_then(|()| writer.into_inner().ok());
    let text = written
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    text.trim_end().to_owned()
}

/// Writes the rejected lines beside the file, for the one who wrote it only: they are about persons.
fn aside(path: &Path, counted: &Counted) -> Result<Option<PathBuf>, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if counted.rejected.is_empty() {
        return Ok(None);
    }
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let aside = path.with_extension(format!("rejected.{extension}"));
    let failed =
        |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", aside.display()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .map_err(failed)?;
    // One that was there before keeps its mode otherwise.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(private).map_err(failed)?;
    if extension.eq_ignore_ascii_case("csv") {
        let text = std::fs::read_to_string(path).map_err(failed)?;
        writeln!(file, "{}", text.lines().next().unwrap_or_default()).map_err(failed)?;
    }
    for (_, _, raw) in &counted.rejected {
        writeln!(file, "{raw}").map_err(failed)?;
    }
    Ok(Some(aside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_does_not_fit_the_header_is_kept_as_it_stands() {
        let text = "key,kind,psn_no\nk1,a.b,\"p, 1\"\nk2,a.b\nk3,a.b,\"p\"\"3\nx\",more\nk4,a.b,p4\n";
        let read = records(text).unwrap();
        let told: Vec<(usize, &str, bool)> = read
            .iter()
            .map(|(line, raw, record)| (*line, raw.as_str(), record.is_ok()))
            .collect();
        assert_eq!(
            told,
            [
                (2, "k1,a.b,\"p, 1\"", true),
                (3, "k2,a.b", false),
                (4, "k3,a.b,\"p\"\"3\nx\",more", false),
                (6, "k4,a.b,p4", true),
            ]
        );
        let why = read[1].2.as_ref().unwrap_err();
        assert_eq!(why, "it has 2 columns, and the header 3");
    }

    #[test]
    fn what_is_put_aside_can_be_corrected_and_filed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asked.csv");
        std::fs::write(&path, "key,kind,psn_no\nk1,a.b,p1\n,a.b,\"p, 2\"\n").unwrap();
        let counted = Counted {
            filed: Vec::new(),
            rejected: vec![(3, "key is missing".to_owned(), ",a.b,\"p, 2\"".to_owned())],
        };
        let aside = aside(&path, &counted).unwrap().unwrap();
        assert_eq!(aside, folder.path().join("asked.rejected.csv"));
        let text = std::fs::read_to_string(&aside).unwrap();
        assert_eq!(text, "key,kind,psn_no\n,a.b,\"p, 2\"\n");
        assert_eq!(records(&text).unwrap().len(), 1);
    }
}
