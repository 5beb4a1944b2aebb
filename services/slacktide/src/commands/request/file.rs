//! Files one request, or a file of requests, at the exchange.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::client::has_answer;
use slacktide_client::{Ask, Client, FiledAs, Outcome};

use super::filing::{FilingItem, FilingReport, FilingWord};
use super::input::{decode, is_csv, read};
use super::lines::{self, Defaults, Line};
use super::{actor, client, failed, render, sign};
use crate::cli::request::FileArgs;
use crate::failure::Failure;
use crate::output::{self, Progress};
use crate::settings::{CommercialFile, load};
use crate::telemetry;

/// The maximum number of concurrent requests.
const MAX_CONCURRENT: usize = 32;

pub(super) async fn run(args: FileArgs) -> crate::failure::Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.at.config.config)?;
    let defaults = Defaults {
        actor: actor(args.actor)?,
        purpose: args.purpose,
        basis: args.basis,
        deadline: args.deadline,
    };
    if let Some(path) = args.from {
        return file_all(&loaded, &path, &defaults, (args.again, args.at.json)).await;
    }
    let mut line = Line {
        // A unique name: each call is another request.
        key: Some(
            args.key
                .unwrap_or_else(|| format!("cli-{:016x}", rand::random::<u64>())),
        ),
        kind: args.kind,
        ..Line::default()
    };
    for text in &args.arguments {
        let (name, value) = lines::argument(text).map_err(|error| Failure::usage(error.to_string()))?;
        if line.arguments.contains_key(&name) {
            return Err(Failure::usage(format!(
                "--arg {name} is given twice: give each argument once"
            )));
        }
        line.arguments.insert(name, value);
    }
    let ask = line.ask(&defaults, Timestamp::now());
    let ask = ask.map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(path) = &args.out {
        return sign::write(&loaded, &ask, path, args.at.json);
    }
    let exporting = telemetry::start(loaded.value.telemetry.as_ref(), telemetry::COMMAND)?;
    let client = client(&loaded).await?;
    let filed = file_one(&client, &ask, args.again).await;
    client.close().await;
    telemetry::finish(exporting).await;
    let (filed, outcome) = filed.map_err(failed)?;
    let id = &filed.id;
    let result = filing_result(&filed, outcome.as_ref(), args.again);
    if args.at.json || matches!(result, FilingResult::Filed) {
        let mut item = item(None, &result);
        item.id = Some(id.to_string());
        item.outcome = outcome.as_ref().map(|outcome| outcome.name().to_owned());
        let report = FilingReport {
            items: vec![item],
            rejected_file: None,
            signed_file: None,
        };
        output::report(&report, args.at.json)?;
    }
    match result {
        FilingResult::Filed => {}
        FilingResult::Known(what) => output::note(&format!(
            "nothing was filed: this key is request {id}, which {what}"
        )),
        FilingResult::Answerless(what) => {
            return Err(Failure::new(
                Exit::NoAnswer,
                format!(
                    "nothing was filed: this key is request {id}, which {what}; file it again with --again, or under a new --key"
                ),
            ));
        }
        FilingResult::Answered(what) => {
            return Err(Failure::new(
                Exit::TooLate,
                format!(
                    "nothing was filed: this key is request {id}, which {what}; another request needs a new --key"
                ),
            ));
        }
    }
    Ok(Exit::Done)
}

/// The result of a filing. The text describes the state of an existing request.
enum FilingResult {
    /// The request was filed.
    Filed,
    /// The request existed.
    Known(String),
    /// The request existed, and has an outcome without an answer.
    Answerless(String),
    /// The request was to be filed again, but is answered.
    Answered(String),
}

/// Determines the result of a filing.
fn filing_result(filed: &FiledAs, outcome: Option<&Outcome>, again: bool) -> FilingResult {
    match outcome {
        _ if filed.is_new => FilingResult::Filed,
        None => FilingResult::Known("waits for its outcome".to_owned()),
        Some(outcome) => {
            let what = format!("has its outcome: {}", render::outcome(outcome));
            match (has_answer(outcome), again) {
                (true, true) => FilingResult::Answered(what),
                (true, false) => FilingResult::Known(what),
                (false, _) => FilingResult::Answerless(what),
            }
        }
    }
}

/// Files a request; reads the outcome if it existed.
async fn file_one(
    client: &Client,
    ask: &Ask,
    again: bool,
) -> Result<(FiledAs, Option<Outcome>), slacktide_client::Error> {
    let span = traces::root("request.file", SystemTime::now());
    let filing = async {
        if again {
            client.file_again(ask).await
        } else {
            client.file_once(ask).await
        }
    };
    let filed = match exchange::trace::within(span.context(), filing).await {
        Ok(filed) => {
            span.end(if filed.is_new { "filed" } else { "exists" }, false);
            filed
        }
        Err(error) => {
            span.end("failed", true);
            return Err(error);
        }
    };
    let outcome = if filed.is_new {
        None
    } else {
        client.outcome(&filed.id).await?
    };
    Ok((filed, outcome))
}

/// Creates the value of a request.
fn item(line: Option<usize>, result: &FilingResult) -> FilingItem {
    FilingItem {
        line,
        id: None,
        idempotency_key: None,
        result: match result {
            FilingResult::Filed => FilingWord::Filed,
            FilingResult::Known(_) => FilingWord::Known,
            FilingResult::Answerless(_) => FilingWord::NoAnswer,
            FilingResult::Answered(_) => FilingWord::Answered,
        },
        outcome: None,
        reason: None,
    }
}

/// The results of the lines of a file.
#[derive(Default)]
struct FileResults {
    /// All requests that were not rejected.
    items: Vec<FilingItem>,
    /// Existing requests with an outcome without an answer: line, id and outcome.
    answerless: Vec<(usize, String, String)>,
    /// Line number, reason and text of rejected lines.
    rejected: Vec<(usize, String, String)>,
}

impl FileResults {
    /// Returns the number of requests at the exchange.
    fn filed(&self) -> usize {
        self.items.len() - self.answerless.len()
    }

    /// Returns the value of the command.
    fn report(&mut self, rejected_file: Option<PathBuf>) -> FilingReport {
        let mut items = std::mem::take(&mut self.items);
        items.extend(self.rejected.iter().map(|(line, why, _)| FilingItem {
            line: Some(*line),
            id: None,
            idempotency_key: None,
            result: FilingWord::Rejected,
            outcome: None,
            reason: Some(why.clone()),
        }));
        items.sort_by_key(|item| item.line);
        FilingReport {
            items,
            rejected_file,
            signed_file: None,
        }
    }
}

async fn file_all(
    loaded: &Loaded<CommercialFile>,
    path: &Path,
    defaults: &Defaults,
    (again, json): (bool, bool),
) -> crate::failure::Outcome {
    // Read the whole file before the first request: with unbalanced quotation marks no line is reliable.
    let bytes =
        std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let text = decode(path, &bytes)?;
    let read = read(path, text)?;
    let now = Timestamp::now();
    let (mut results, mut asks) = (FileResults::default(), Vec::new());
    for (number, raw, line) in read {
        match line.and_then(|line| line.ask(defaults, now)) {
            Ok(ask) => asks.push((number, raw, ask)),
            Err(error) => results.rejected.push((number, error.to_string(), raw)),
        }
    }
    let asks = reject_contradictions(asks, &mut results);
    let exporting = telemetry::start(loaded.value.telemetry.as_ref(), telemetry::COMMAND)?;
    let client = client(loaded).await?;
    let filed = file(&client, asks, again, &mut results).await;
    client.close().await;
    telemetry::finish(exporting).await;
    let rejected_file = write_rejected(path, text, &results)?;
    if let Err(error) = filed {
        let more = format!(
            "{} requests of the file are at the exchange; file it again unchanged to file the others",
            results.filed()
        );
        return Err(error.with([more]));
    }
    let report = results.report(rejected_file);
    output::report(&report, json)?;
    if !json {
        note_others(path, &results, report.rejected_file.as_deref());
    }
    Ok(if !results.rejected.is_empty() {
        Exit::Unfinished
    } else if results.answerless.is_empty() {
        Exit::Done
    } else {
        Exit::NoAnswer
    })
}

/// Notes the lines that were not filed.
fn note_others(path: &Path, results: &FileResults, rejected_file: Option<&Path>) {
    for (line, id, what) in &results.answerless {
        output::note(&format!(
            "{}:{line}: nothing was filed: this key is request {id}, which {what}",
            path.display()
        ));
    }
    if !results.answerless.is_empty() {
        output::note(&format!(
            "{} existing requests have an outcome without an answer: file them again with --again, or under new keys",
            results.answerless.len()
        ));
    }
    for (line, why, _) in &results.rejected {
        output::note(&format!("{}:{line}: {why}", path.display()));
    }
    if let Some(rejected_file) = rejected_file {
        output::note(&format!(
            "{} rejected lines were written to {}: correct them and file that file",
            results.rejected.len(),
            rejected_file.display()
        ));
    }
}

/// Rejects lines with different requests under one key.
fn reject_contradictions(
    asks: Vec<(usize, String, Ask)>,
    results: &mut FileResults,
) -> Vec<(usize, String, Ask)> {
    let mut by_key: BTreeMap<&str, Vec<(usize, &Ask)>> = BTreeMap::new();
    for (number, _, ask) in &asks {
        by_key.entry(ask.key()).or_default().push((*number, ask));
    }
    let mut others: BTreeMap<usize, usize> = BTreeMap::new();
    for lines in by_key.values() {
        for (number, ask) in lines {
            if let Some((other, _)) = lines.iter().find(|(_, other)| other != ask) {
                others.insert(*number, *other);
            }
        }
    }
    let (good, bad): (Vec<_>, Vec<_>) = asks
        .into_iter()
        .partition(|(number, ..)| !others.contains_key(number));
    for (number, raw, _) in bad {
        let other = others.get(&number).copied().unwrap_or_default();
        let why =
            format!("line {other} asks for something else under the same key: give each line its own key");
        results.rejected.push((number, why, raw));
    }
    good
}

/// Files requests concurrently. Requests that are refused permanently are rejected; a temporary error ends the call, and the
/// file can be filed again unchanged.
async fn file(
    client: &Client,
    asks: Vec<(usize, String, Ask)>,
    again: bool,
    results: &mut FileResults,
) -> Result<(), Failure> {
    let mut progress = Progress::new("requests filed", u64::try_from(asks.len()).ok());
    let mut filing = stream::iter(asks)
        .map(|(number, raw, ask)| async move { (number, raw, file_one(client, &ask, again).await) })
        .buffered(MAX_CONCURRENT);
    let mut done = 0;
    while let Some((number, raw, filed)) = filing.next().await {
        match filed {
            Ok((filed, outcome)) => {
                let result = filing_result(&filed, outcome.as_ref(), again);
                results.items.push(FilingItem {
                    id: Some(filed.id.to_string()),
                    outcome: outcome.as_ref().map(|outcome| outcome.name().to_owned()),
                    ..item(Some(number), &result)
                });
                if let FilingResult::Answerless(what) = result {
                    results.answerless.push((number, filed.id.to_string(), what));
                }
            }
            Err(slacktide_client::Error::Exchange(error)) => return Err(error.into()),
            Err(error) => results.rejected.push((number, error.to_string(), raw)),
        }
        done += 1;
        progress.set(done, "");
    }
    results.rejected.sort_unstable();
    Ok(())
}

/// Writes the rejected lines next to the file, with mode 0600: they are personal data.
fn write_rejected(path: &Path, text: &str, results: &FileResults) -> Result<Option<PathBuf>, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if results.rejected.is_empty() {
        return Ok(None);
    }
    let extension = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let rejected_path = path.with_extension(format!("rejected.{extension}"));
    let failed =
        |error: std::io::Error| Failure::new(Exit::Internal, format!("{}: {error}", rejected_path.display()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&rejected_path)
        .map_err(failed)?;
    // An existing file would keep its mode.
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(private).map_err(failed)?;
    if is_csv(path) {
        let header = text.lines().find(|line| !line.is_empty());
        writeln!(file, "{}", header.unwrap_or_default()).map_err(failed)?;
    }
    for (_, _, raw) in &results.rejected {
        writeln!(file, "{raw}").map_err(failed)?;
    }
    Ok(Some(rejected_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_two_requests_with_one_key_are_both_rejected() {
        let text = "key,kind,purpose,basis,n\nk1,a.b,1,1,7\nk2,a.b,1,1,7\nk1,a.b,1,1,8\nk2,a.b,1,1,7\n";
        let asks: Vec<_> = read(Path::new("a.csv"), text)
            .unwrap()
            .into_iter()
            .map(|(line, raw, one)| {
                (
                    line,
                    raw,
                    one.unwrap()
                        .ask(&Defaults::default(), Timestamp::UNIX_EPOCH)
                        .unwrap(),
                )
            })
            .collect();
        let mut results = FileResults::default();
        let good: Vec<usize> = reject_contradictions(asks, &mut results)
            .iter()
            .map(|(line, ..)| *line)
            .collect();
        assert_eq!(good, [3, 5]);
        let rejected: Vec<(usize, bool)> = results
            .rejected
            .iter()
            .map(|(line, why, _)| (*line, why.contains("under the same key")))
            .collect();
        assert_eq!(rejected, [(2, true), (4, true)]);
    }

    #[test]
    fn filing_result_depends_on_the_existing_request() {
        let filed = |is_new| FiledAs {
            id: "20260131-abcdefgh".parse().unwrap(),
            is_new,
        };
        let refused = Outcome::Expired;
        assert!(matches!(
            filing_result(&filed(true), None, false),
            FilingResult::Filed
        ));
        assert!(matches!(
            filing_result(&filed(false), None, true),
            FilingResult::Known(_)
        ));
        assert!(matches!(
            filing_result(&filed(false), Some(&refused), false),
            FilingResult::Answerless(_)
        ));
        assert!(matches!(
            filing_result(&filed(false), Some(&Outcome::Empty), false),
            FilingResult::Known(_)
        ));
        assert!(matches!(
            filing_result(&filed(false), Some(&Outcome::Empty), true),
            FilingResult::Answered(_)
        ));
    }

    #[test]
    fn rejected_file_can_be_corrected_and_filed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asked.csv");
        let text = "key,kind,psn_no\r\nk1,a.b,p1\r\n,a.b,\"p, 2\"\r\n";
        let results = FileResults {
            rejected: vec![(3, "key is missing".to_owned(), ",a.b,\"p, 2\"".to_owned())],
            ..FileResults::default()
        };
        let rejected = write_rejected(&path, text, &results).unwrap().unwrap();
        assert_eq!(rejected, folder.path().join("asked.rejected.csv"));
        let text = std::fs::read_to_string(&rejected).unwrap();
        assert_eq!(text, "key,kind,psn_no\n,a.b,\"p, 2\"\n");
        assert_eq!(read(&rejected, &text).unwrap().len(), 1);
    }
}
