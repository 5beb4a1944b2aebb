//! Files one request, or a file of them, straight at the exchange.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use runtime::config::Loaded;
use runtime::exit::Exit;
use slacktide_client::client::has_answer;
use slacktide_client::{Ask, Client, FiledAs, Outcome, RequestId};

use super::input::{decode, is_csv, read};
use super::lines::{self, Defaults, Line};
use super::{FileArgs, actor, client, failed, told};
use crate::failure::Failure;
use crate::output;
use crate::settings::{CommercialFile, load};

/// Requests that are under way at once.
const AT_ONCE: usize = 32;

pub(super) async fn run(args: FileArgs) -> crate::failure::Outcome {
    let loaded: Loaded<CommercialFile> = load(&args.at.config.config)?;
    let defaults = Defaults {
        actor: actor(args.actor)?,
        purpose: args.purpose,
        basis: args.basis,
        deadline: args.deadline,
    };
    if let Some(path) = args.from {
        return all(&loaded, &path, &defaults, (args.again, args.at.json)).await;
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
    let filed = file_one(&client, &ask, args.again).await;
    client.close().await;
    let (filed, outcome) = filed.map_err(failed)?;
    let id = &filed.id;
    let end = end(&filed, outcome.as_ref(), args.again);
    if args.at.json {
        output::json(&serde_json::json!({
            "id": id,
            "is_new": filed.is_new,
            "outcome": outcome.as_ref().map(Outcome::name),
        }))?;
    }
    match end {
        End::Filed if !args.at.json => output::line(&format!(
            "filed as {id}; `slacktide request show {id}` tells how it stands"
        )),
        End::Filed => {}
        End::Known(what) => output::note(&format!(
            "nothing was filed: this key is request {id}, which {what}"
        )),
        End::Answerless(what) => {
            return Err(Failure::new(
                Exit::NoAnswer,
                format!(
                    "nothing was filed: this key is request {id}, which {what}; ask again with --again, or under a new --key"
                ),
            ));
        }
        End::Answered(what) => {
            return Err(Failure::new(
                Exit::TooLate,
                format!(
                    "nothing was filed: this key is request {id}, which {what}; another question needs a new --key"
                ),
            ));
        }
    }
    Ok(Exit::Done)
}

/// Where a filing ended. Texts say how the request stands that was there before.
enum End {
    /// It is at the exchange now.
    Filed,
    /// It was there before.
    Known(String),
    /// It was there before, and has an outcome without an answer.
    Answerless(String),
    /// It was to be asked again, and is answered.
    Answered(String),
}

/// PURE: where a filing ended.
fn end(filed: &FiledAs, outcome: Option<&Outcome>, again: bool) -> End {
    match outcome {
        _ if filed.is_new => End::Filed,
        None => End::Known("waits for its outcome".to_owned()),
        Some(outcome) => {
            let what = format!("has its outcome: {}", told::outcome(outcome));
            match (has_answer(outcome), again) {
                (true, true) => End::Answered(what),
                (true, false) => End::Known(what),
                (false, _) => End::Answerless(what),
            }
        }
    }
}

/// Files a question, and looks for the outcome of one that was there before.
async fn file_one(
    client: &Client,
    ask: &Ask,
    again: bool,
) -> Result<(FiledAs, Option<Outcome>), slacktide_client::Error> {
    let filed = if again {
        client.file_again(ask).await?
    } else {
        client.file_once(ask).await?
    };
    let outcome = if filed.is_new {
        None
    } else {
        client.outcome(&filed.id).await?
    };
    Ok((filed, outcome))
}

/// What became of the lines of a file.
#[derive(Default)]
struct Counted {
    filed: Vec<RequestId>,
    /// Requests from before that have an outcome without an answer: their line, id and what became of them.
    answerless: Vec<(usize, RequestId, String)>,
    /// Line, why, and the line itself.
    rejected: Vec<(usize, String, String)>,
}

async fn all(
    loaded: &Loaded<CommercialFile>,
    path: &Path,
    defaults: &Defaults,
    (again, json): (bool, bool),
) -> crate::failure::Outcome {
    // The whole file before the first request: where its marks do not fit, no line can be trusted.
    let bytes =
        std::fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let text = decode(path, &bytes)?;
    let read = read(path, text)?;
    let now = Timestamp::now();
    let (mut counted, mut asks) = (Counted::default(), Vec::new());
    for (number, raw, line) in read {
        match line.and_then(|line| line.ask(defaults, now)) {
            Ok(ask) => asks.push((number, raw, ask)),
            Err(why) => counted.rejected.push((number, why, raw)),
        }
    }
    let asks = without_contradictions(asks, &mut counted);
    let client = client(loaded).await?;
    let filed = file(&client, asks, again, &mut counted).await;
    client.close().await;
    let aside = aside(path, text, &counted)?;
    if let Err(error) = filed {
        let more = format!(
            "{} requests of the file are at the exchange; file it again as it is, and the others follow",
            counted.filed.len()
        );
        return Err(error.with([more]));
    }
    show(path, &counted, aside.as_deref(), json)?;
    Ok(if !counted.rejected.is_empty() {
        Exit::Unfinished
    } else if counted.answerless.is_empty() {
        Exit::Done
    } else {
        Exit::NoAnswer
    })
}

fn show(path: &Path, counted: &Counted, aside: Option<&Path>, json: bool) -> Result<(), Failure> {
    if json {
        let rejected: Vec<_> = counted
            .rejected
            .iter()
            .map(|(line, why, _)| serde_json::json!({ "line": line, "why": why }))
            .collect();
        let answerless: Vec<_> = counted
            .answerless
            .iter()
            .map(|(line, id, what)| serde_json::json!({ "line": line, "id": id, "outcome": what }))
            .collect();
        return output::json(&serde_json::json!({
            "filed": counted.filed, "rejected": rejected, "answerless": answerless, "aside": aside,
        }));
    }
    output::line(&format!("{} requests are at the exchange", counted.filed.len()));
    for (line, id, what) in &counted.answerless {
        output::note(&format!(
            "{}:{line}: nothing was filed: this key is request {id}, which {what}",
            path.display()
        ));
    }
    if !counted.answerless.is_empty() {
        output::note(&format!(
            "{} lines have an outcome without an answer from before: ask them again with --again, or under new keys",
            counted.answerless.len()
        ));
    }
    for (line, why, _) in &counted.rejected {
        output::note(&format!("{}:{line}: {why}", path.display()));
    }
    if let Some(aside) = aside {
        output::note(&format!(
            "{} lines were put aside in {}: correct them there and file that file",
            counted.rejected.len(),
            aside.display()
        ));
    }
    Ok(())
}

/// PURE: without the lines that ask for different things under one key: which of them was meant is not known.
fn without_contradictions(
    asks: Vec<(usize, String, Ask)>,
    counted: &mut Counted,
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
            format!("line {other} asks for something else under the same key: give each a key of its own");
        counted.rejected.push((number, why, raw));
    }
    good
}

/// Files them, some at once. What the exchange does not take for good is rejected; what time may mend ends it, and the
/// file may be filed again as it is.
async fn file(
    client: &Client,
    asks: Vec<(usize, String, Ask)>,
    again: bool,
    counted: &mut Counted,
) -> Result<(), Failure> {
    let mut filing = stream::iter(asks)
        .map(|(number, raw, ask)| async move { (number, raw, file_one(client, &ask, again).await) })
        .buffered(AT_ONCE);
    while let Some((number, raw, filed)) = filing.next().await {
        match filed {
            Ok((filed, outcome)) => match end(&filed, outcome.as_ref(), again) {
                End::Answerless(what) => counted.answerless.push((number, filed.id, what)),
                End::Filed | End::Known(_) | End::Answered(_) => counted.filed.push(filed.id),
            },
            Err(slacktide_client::Error::Exchange(error)) => return Err(error.into()),
            Err(error) => counted.rejected.push((number, error.to_string(), raw)),
        }
    }
    counted.rejected.sort_unstable();
    Ok(())
}

/// Writes the rejected lines beside the file, for the one who wrote it only: they are about persons.
fn aside(path: &Path, text: &str, counted: &Counted) -> Result<Option<PathBuf>, Failure> {
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
    if is_csv(path) {
        let header = text.lines().find(|line| !line.is_empty());
        writeln!(file, "{}", header.unwrap_or_default()).map_err(failed)?;
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
    fn lines_with_one_key_and_two_questions_are_both_rejected() {
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
        let mut counted = Counted::default();
        let good: Vec<usize> = without_contradictions(asks, &mut counted)
            .iter()
            .map(|(line, ..)| *line)
            .collect();
        assert_eq!(good, [3, 5]);
        let rejected: Vec<(usize, bool)> = counted
            .rejected
            .iter()
            .map(|(line, why, _)| (*line, why.contains("under the same key")))
            .collect();
        assert_eq!(rejected, [(2, true), (4, true)]);
    }

    #[test]
    fn filing_ends_by_what_was_there_before() {
        let filed = |is_new| FiledAs {
            id: "20260131-abcdefgh".parse().unwrap(),
            is_new,
        };
        let refused = Outcome::Expired;
        assert!(matches!(end(&filed(true), None, false), End::Filed));
        assert!(matches!(end(&filed(false), None, true), End::Known(_)));
        assert!(matches!(
            end(&filed(false), Some(&refused), false),
            End::Answerless(_)
        ));
        assert!(matches!(
            end(&filed(false), Some(&Outcome::Empty), false),
            End::Known(_)
        ));
        assert!(matches!(
            end(&filed(false), Some(&Outcome::Empty), true),
            End::Answered(_)
        ));
    }

    #[test]
    fn what_is_put_aside_can_be_corrected_and_filed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asked.csv");
        let text = "key,kind,psn_no\r\nk1,a.b,p1\r\n,a.b,\"p, 2\"\r\n";
        let counted = Counted {
            rejected: vec![(3, "key is missing".to_owned(), ",a.b,\"p, 2\"".to_owned())],
            ..Counted::default()
        };
        let aside = aside(&path, text, &counted).unwrap().unwrap();
        assert_eq!(aside, folder.path().join("asked.rejected.csv"));
        let text = std::fs::read_to_string(&aside).unwrap();
        assert_eq!(text, "key,kind,psn_no\n,a.b,\"p, 2\"\n");
        assert_eq!(read(&aside, &text).unwrap().len(), 1);
    }
}
