//! `slacktide audit request|person`.
//!
//! - `report` the trail as a value; `describe` PURE: a message in words

mod describe;
mod report;

use std::collections::BTreeMap;

use ::audit::trail::mark::PersonMark;
use ::audit::trail::person::person_trail;
use ::audit::trail::request::request_trail;
use runtime::config::Loaded;
use schemas::name::PartyName;
use schemas::person::PersonKey;
use schemas::visible;
use verification::Trust;

pub(in crate::commands) use report::TrailReport;

use super::questions::QuestionRecord;
use super::{connect, failed, require_chunk_keys};
use crate::cli::{PersonTrailArgs, RequestTrailArgs};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Progress};
use crate::settings::PartyFile;

/// Runs `audit request`.
pub(super) async fn run_request(args: RequestTrailArgs) -> Outcome {
    let (loaded, exchange) = connect(&args.question.config.config).await?;
    let trust = trust(&loaded)?;
    let record = QuestionRecord::of(&loaded)?;
    let detail = BTreeMap::from([("request".to_owned(), args.id.to_string())]);
    let question = record.append(&args.question, "request.trail", detail)?;
    let parties: Vec<PartyName> = args.recipient.into_iter().collect();
    let trail = request_trail(&exchange, &trust, &args.id, &parties).await;
    let trail = trail.map_err(failed)?;
    let report = TrailReport::of_request(&args.id, trail, question);
    finish(&report, args.question.json)
}

/// Runs `audit person`.
pub(super) async fn run_person(args: PersonTrailArgs) -> Outcome {
    let mark = read_mark(&args)?;
    let (loaded, exchange) = connect(&args.question.config.config).await?;
    let trust = trust(&loaded)?;
    let record = QuestionRecord::of(&loaded)?;
    let persons = PersonKey::of(record.key()).map_err(|error| Failure::internal(&error))?;
    let person = persons.token(&mark.number).digest.to_string();
    let detail = BTreeMap::from([("person".to_owned(), person.clone())]);
    let question = record.append(&args.question, "person.trail", detail)?;
    let trail = {
        let mut progress = Progress::new("messages read", None);
        let mut show = |read| progress.set(read, "");
        person_trail(&exchange, &trust, &mark, &mut show).await
    };
    let report = TrailReport::of_person(person, &mark, trail.map_err(failed)?, question);
    finish(&report, args.question.json)
}

fn finish(report: &TrailReport, is_json: bool) -> Outcome {
    output::report(report, is_json)?;
    Ok(report.exit())
}

fn trust(loaded: &Loaded<PartyFile>) -> Result<Trust, Failure> {
    require_chunk_keys(loaded)?;
    let keys = loaded.value.encryption.decryption_keys(loaded.folder())?;
    Ok(loaded.value.trust_file(None).trust(keys))
}

/// Reads the mark. An error names no content of the file.
fn read_mark(args: &PersonTrailArgs) -> Result<PersonMark, Failure> {
    let path = args.mark.display();
    let text = std::fs::read_to_string(&args.mark)
        .map_err(|error| Failure::usage(format!("--mark {path}: {error}")))?;
    let mark: Option<PersonMark> = toml::from_str(&text).ok();
    let is_valid = |mark: &PersonMark| {
        !mark.number.trim().is_empty() && visible::check_visible("number", mark.number.trim()).is_ok()
    };
    let mark = mark.filter(is_valid).ok_or_else(|| {
        Failure::usage(format!(
            "--mark {path}: is not a person's mark; the bureau makes one: slacktide masking mark --out FILE"
        ))
    })?;
    if args.question.decision.reason.contains(mark.number.trim()) {
        return Err(Failure::usage(
            "the reason names the person: it is kept permanently; leave the number out",
        ));
    }
    Ok(mark)
}
