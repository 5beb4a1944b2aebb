//! The page of the audit: what operators did, and a verification of what the party may read.
//!
//! - `read` reads entries and orders; `verify` starts a verification

mod read;
mod verify;

use std::sync::atomic::Ordering;

use askama::Template;
use axum::Router;

use crate::access::Access;
use crate::console::Console;
use crate::context::Context;
use crate::facts::Signature;
use crate::format;
use crate::html::{Badge, Level, Time};
use crate::layout::Body;
use crate::page_id::PageId;
use crate::records::verification::Job;
use crate::shell;
use crate::site::PartyRole;
use crate::site::machine::Verification;
use crate::texts::Texts;
use read::{AuditFacts, Choice, Entry};

/// Returns the routes of the page's form.
pub(crate) fn routes() -> Router<Console> {
    verify::routes()
}

/// Reads the facts and renders the page.
pub(crate) async fn show(access: &Access, context: &Context) -> Body {
    let choice = choice(context);
    let facts = read::read(access, &choice).await;
    let job = access.console.records().verifications.last(&access.party);
    Body::both(
        &forms(&facts, &choice, context),
        &view(&facts, job.as_ref(), &choice, context),
    )
}

/// PURE: what the parameters of the URL choose. An invalid one chooses nothing.
fn choice(context: &Context) -> Choice {
    Choice {
        party: context.parameter("party").parse().ok(),
        before: context.parameter("before").parse().ok(),
        with_agents: context.parameter("writers") == "all",
    }
}

#[derive(Template)]
#[template(path = "audit_forms.html")]
struct Forms {
    texts: Texts,
    csrf: String,
    scope: &'static str,
    command: String,
    is_auditor: bool,
    parties: Vec<(String, bool)>,
    with_agents: bool,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    texts: Texts,
    checked: Time,
    note: &'static str,
    error: Option<String>,
    entries: Vec<Row>,
    older: Option<String>,
    job: Option<JobView>,
}

struct Row {
    id: String,
    party: String,
    writer: String,
    number: String,
    at: Time,
    actor: String,
    action: String,
    reason: String,
    badge: Badge,
}

/// The last verification.
struct JobView {
    badge: Badge,
    state: &'static str,
    when: Time,
    progress: String,
    facts: Vec<(&'static str, String)>,
    lanes: Vec<(String, String)>,
    not_covered: Vec<String>,
    faults: Vec<String>,
}

fn forms(facts: &AuditFacts, choice: &Choice, context: &Context) -> Forms {
    let texts = context.texts;
    let is_auditor = context.party_role == PartyRole::Auditor;
    let is_chosen = |party: &schemas::name::PartyName| choice.party.as_ref() == Some(party);
    let command = [
        "slacktide",
        "audit",
        "verify",
        "--config",
        "/etc/slacktide/auditor.toml",
        "--since",
        "/var/lib/slacktide/audit-heads.json",
    ];
    Forms {
        texts,
        csrf: context.csrf(verify::FORM),
        scope: match context.party_role {
            PartyRole::Auditor => texts.get("audit.scope_auditor"),
            PartyRole::Bureau => texts.get("audit.scope_bureau"),
            PartyRole::Recipient => texts.get("audit.scope_recipient"),
        },
        command: shell::command(&command),
        is_auditor,
        parties: facts
            .parties
            .iter()
            .map(|party| (party.to_string(), is_chosen(party)))
            .collect(),
        with_agents: choice.with_agents,
    }
}

/// PURE: makes the view of the facts.
fn view(facts: &AuditFacts, job: Option<&Job>, choice: &Choice, context: &Context) -> Audit {
    let texts = context.texts;
    let older = facts.older.zip(choice.party.as_ref()).map(|(before, party)| {
        let writers = if choice.with_agents { "all" } else { "operators" };
        let path = PageId::Audit.path();
        format!("{path}?party={party}&writers={writers}&before={before}")
    });
    Audit {
        texts,
        checked: context.time(context.now),
        note: match context.party_role {
            PartyRole::Auditor => texts.get("audit.note_auditor"),
            PartyRole::Bureau => texts.get("audit.note_bureau"),
            PartyRole::Recipient => texts.get("audit.note_recipient"),
        },
        error: facts.error.clone(),
        entries: facts.entries.iter().map(|entry| row(entry, context)).collect(),
        older,
        job: job.map(|job| job_view(job, context)),
    }
}

fn row(entry: &Entry, context: &Context) -> Row {
    let texts = context.texts;
    let (level, key) = match &entry.signature {
        Signature::Verified => (Level::Good, "audit.signed"),
        Signature::NoKey => (Level::Unknown, "audit.no_key"),
        Signature::Refused(_) => (Level::Alarm, "audit.refused"),
    };
    let refused = match &entry.signature {
        Signature::Refused(error) => error.clone(),
        _ => String::new(),
    };
    let content = entry.content.as_ref();
    let text =
        |of: fn(&read::Content) -> &String| content.map_or("–".to_owned(), |content| of(content).clone());
    Row {
        id: format!("{}-{}-{}", entry.party, entry.writer, entry.sequence),
        party: entry.party.clone(),
        writer: entry.writer.clone(),
        number: content.map_or("–".to_owned(), |content| content.number.to_string()),
        at: context.time(content.map_or(entry.stored_at, |content| content.at)),
        actor: text(|content| &content.actor),
        action: text(|content| &content.action),
        reason: content.map_or(refused, |content| content.reason.clone()),
        badge: Badge::new(level, texts.get(key)),
    }
}

fn job_view(job: &Job, context: &Context) -> JobView {
    let texts = context.texts;
    match job {
        Job::Running { started, read, total } => {
            let read = read.load(Ordering::Relaxed);
            let count = format::count(read);
            let progress = match total {
                Some(total) if *total > 0 => {
                    let percent = (read.saturating_mul(100) / total).min(100).to_string();
                    let total = format::count(*total);
                    texts.with(
                        "audit.read_of",
                        &[("n", &count), ("total", &total), ("percent", &percent)],
                    )
                }
                _ => texts.with("audit.read", &[("n", &count)]),
            };
            JobView {
                badge: Badge::new(Level::Waiting, texts.get("audit.running")),
                state: "running",
                when: context.time(*started),
                progress,
                facts: Vec::new(),
                lanes: Vec::new(),
                not_covered: Vec::new(),
                faults: Vec::new(),
            }
        }
        Job::Done {
            started,
            ended,
            read,
            result,
        } => {
            let seconds = ended.duration_since(*started).as_secs().max(0);
            let span = context.display.formatter().span(seconds);
            let progress = texts.with("audit.took", &[("n", &format::count(*read)), ("span", &span)]);
            done_view(result, context.time(*ended), progress, texts)
        }
    }
}

fn done_view(result: &Result<Verification, String>, when: Time, progress: String, texts: Texts) -> JobView {
    let (level, key, state) = match result {
        // A stream without a chunk proves nothing.
        Ok(found) if found.faults.is_empty() && found.chunks == 0 => {
            (Level::Unknown, "audit.nothing", "nothing")
        }
        Ok(found) if found.faults.is_empty() => (Level::Good, "audit.sound", "sound"),
        Ok(_) => (Level::Alarm, "audit.faults", "faults"),
        Err(_) => (Level::Alarm, "audit.failed", "failed"),
    };
    let (facts, lanes, faults) = match result {
        Ok(found) => (counts(found, texts), found.lanes.clone(), found.faults.clone()),
        Err(error) => (Vec::new(), Vec::new(), vec![error.clone()]),
    };
    JobView {
        badge: Badge::new(level, texts.get(key)),
        state,
        when,
        progress,
        facts,
        lanes,
        not_covered: result
            .as_ref()
            .map(|found| found.not_covered.clone())
            .unwrap_or_default(),
        faults,
    }
}

fn counts(found: &Verification, texts: Texts) -> Vec<(&'static str, String)> {
    let not_read = || texts.get("audit.not_read").to_owned();
    let valid = format::count(found.chunks_verified);
    let all = format::count(found.chunks);
    let heads = found.heads_compared.map_or_else(
        || texts.get("audit.heads_first").to_owned(),
        |heads| texts.with("audit.heads_compared", &[("n", &format::count(heads))]),
    );
    vec![
        (
            texts.get("audit.chunks"),
            texts.with("audit.of", &[("n", &valid), ("total", &all)]),
        ),
        (
            texts.get("audit.not_decrypted"),
            format::count(found.chunks_not_decrypted),
        ),
        (
            texts.get("audit.receipts"),
            found.receipts_verified.map_or_else(not_read, format::count),
        ),
        (
            texts.get("audit.entries_verified"),
            found.entries_verified.map_or_else(not_read, format::count),
        ),
        (texts.get("audit.heads"), heads),
    ]
}

#[cfg(test)]
mod tests;
