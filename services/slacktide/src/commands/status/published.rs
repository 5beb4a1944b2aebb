//! `slacktide status --published`: what agents last published at the exchange, verified.

use std::collections::BTreeMap;

use exchange::port::Stream;
use exchange::{AuditExchange, Exchange, StatusExchange, Stored};
use jiff::Timestamp;
use runtime::exit::Exit;
use schemars::JsonSchema;
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::status_report::{HistoryBucket, StatusReport as Published};
use schemas::subject::Subject;
use serde::Serialize;
use serde_json::Value;

use super::ago::span;
use crate::exchange_client::{ExchangeClient, ExchangeOptions};
use crate::failure::{Failure, Outcome};
use crate::output::{self, Report, Style, Table, Time, View};
use crate::settings::{ConfigFile, load_any};

/// What agents published, as far as the caller's credential may read it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "status --published")]
pub(in crate::commands) struct PublishedReport {
    /// When it was read.
    at: Time,
    /// The agents, by party and name.
    agents: Vec<PublishedItem>,
}

/// The last report of one agent.
#[derive(Debug, Serialize, JsonSchema)]
struct PublishedItem {
    party: PartyName,
    /// The agent's name among those of its party.
    writer: PartyName,
    state: Freshness,
    /// Why the report is not trusted.
    error: Option<String>,
    /// When the exchange stored it, by its clock.
    stored_at: Time,
    /// The time since it was made, by the agent's clock; `null` if it is not trusted.
    age_ms: Option<i64>,
    /// The promised time until the next report.
    next_within_ms: Option<u64>,
    /// What the agent does: `social`, `commercial`.
    role: Option<&'static str>,
    /// The agent's process.
    instance: Option<String>,
    /// The agent's page, as it serves it under `/status`.
    page: Option<Value>,
    /// The gate in the last 24 hours, in buckets of five minutes.
    history: Vec<HistoryBucket>,
}

/// Whether a report shows the state of the agent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Freshness {
    /// The next report is not overdue.
    Current,
    /// The next report is overdue: nothing is known of the agent since.
    NoNews,
    /// No trusted key signed it, or it is unreadable.
    NotTrusted,
}

/// Whose reports are read, with which credential and keys.
struct Reader {
    options: ExchangeOptions,
    /// The party; `None`: all.
    party: Option<PartyName>,
    trusted: Vec<PublicKey>,
}

impl Reader {
    fn new(file: &ConfigFile) -> Result<Self, Failure> {
        let party = |name: &str| PartyName::new(name).map_err(|error| Failure::internal(&error));
        match file {
            ConfigFile::Social(file) => {
                let (value, folder) = (&file.value, file.folder());
                let mut trusted = value.trust.chunks.clone();
                trusted.push(value.signing.key(folder)?.public().clone());
                Ok(Self {
                    options: value.exchange.command_options(folder)?,
                    party: Some(value.social.name.clone()),
                    trusted,
                })
            }
            ConfigFile::Commercial(file) => {
                let (value, folder) = (&file.value, file.folder());
                Ok(Self {
                    options: value.exchange.command_options(folder)?,
                    party: Some(party(value.commercial.recipient.as_str())?),
                    trusted: vec![value.signing.key(folder)?.public().clone()],
                })
            }
            ConfigFile::Party(file) => {
                let (value, trust) = (&file.value, &file.value.trust);
                Ok(Self {
                    options: value.exchange.command_options(file.folder())?,
                    party: None,
                    trusted: [&trust.entries[..], &trust.chunks, &trust.receipts].concat(),
                })
            }
        }
    }

    /// Returns the parties whose reports may be read. An auditor may read those of the bureau and of every recipient.
    async fn parties(&self, exchange: &ExchangeClient) -> exchange::Result<Vec<PartyName>> {
        match &self.party {
            Some(party) => Ok(vec![party.clone()]),
            // Those that publish. The auditor has audit entries too, and no status.
            None => exchange.parties(Stream::Control).await,
        }
    }
}

/// Runs the command.
pub(super) async fn run(path: &std::path::Path, json: bool) -> Outcome {
    let reader = Reader::new(&load_any(path)?)?;
    let exchange = ExchangeClient::connect(reader.options.clone()).await?;
    let outcome = read(&reader, &exchange).await;
    exchange.close().await;
    let report = outcome?;
    output::report(&report, json)?;
    Ok(report.exit())
}

async fn read(reader: &Reader, exchange: &ExchangeClient) -> Result<PublishedReport, Failure> {
    let mut all = Vec::new();
    for party in reader.parties(exchange).await? {
        let stored = exchange.statuses(&party).await.map_err(|error| {
            let what = ::reporting::publication::describe(&error);
            Failure::new(Failure::from(error).exit, what)
        })?;
        all.extend(stored);
    }
    let now = Timestamp::now();
    let agents = all.iter().filter_map(|stored| item(stored, &reader.trusted, now));
    Ok(PublishedReport {
        at: now.into(),
        agents: agents.collect(),
    })
}

/// PURE: judges one message; `None` if its subject is not that of a report.
fn item(stored: &Stored, trusted: &[PublicKey], now: Timestamp) -> Option<PublishedItem> {
    let Ok(Subject::Status(party, writer)) = stored.subject.parse::<Subject>() else {
        return None;
    };
    let verified = Envelope::decode(&stored.bytes).and_then(|envelope| envelope.verify::<Published>(trusted));
    let verified = verified.map_err(|error| error.to_string()).and_then(|report| {
        if report.party == party && report.writer == writer {
            Ok(report)
        } else {
            Err(format!(
                "it is of agent {} of {}, not of this one",
                report.writer, report.party
            ))
        }
    });
    let stored_at = stored.stored_at.into();
    Some(match verified {
        Ok(report) => PublishedItem {
            party,
            writer,
            state: if report.is_stale(now) {
                Freshness::NoNews
            } else {
                Freshness::Current
            },
            error: None,
            stored_at,
            age_ms: i64::try_from(now.duration_since(report.at).as_millis()).ok(),
            next_within_ms: Some(u64::from(report.next_within_s) * 1_000),
            role: Some(report.role.as_str()),
            instance: Some(report.instance),
            page: serde_json::from_str(&report.page).ok(),
            history: report.history,
        },
        Err(why) => PublishedItem {
            party,
            writer,
            state: Freshness::NotTrusted,
            error: Some(why),
            stored_at,
            age_ms: None,
            next_within_ms: None,
            role: None,
            instance: None,
            page: None,
            history: Vec::new(),
        },
    })
}

impl PublishedReport {
    fn exit(&self) -> Exit {
        let is_current = |item: &PublishedItem| item.state == Freshness::Current;
        if !self.agents.is_empty() && self.agents.iter().all(is_current) {
            Exit::Done
        } else {
            Exit::Unfinished
        }
    }
}

impl Report for PublishedReport {
    fn view(&self) -> View {
        let mut view = View::new();
        view.line(format!("published status  {}", self.at));
        view.blank();
        if self.agents.is_empty() {
            view.line("no agent has published its status within a day; does one run, with [status] publish?");
            return view;
        }
        let mut table = Table::new()
            .text("PARTY")
            .text("AGENT")
            .fixed("STATE")
            .text("AGE");
        for item in &self.agents {
            let (word, style) = match item.state {
                Freshness::Current => ("current", Style::Good),
                Freshness::NoNews => ("no news", Style::Alarm),
                Freshness::NotTrusted => ("not trusted", Style::Alarm),
            };
            let age = item.age_ms.map_or("-".to_owned(), |ms| span(ms / 1_000));
            let cells = [
                item.party.to_string(),
                item.writer.to_string(),
                word.to_owned(),
                age,
            ];
            table.row(cells).style(2, style);
            if let Some(why) = &item.error {
                table.detail("    why:   ", why.clone());
            }
            if let Some(gate) = item.page.as_ref().and_then(gate) {
                table.detail("    gate:  ", gate);
            }
            for (state, count) in item.page.as_ref().map(lanes).unwrap_or_default() {
                table.detail("    lanes: ", format!("{count} {state}"));
            }
        }
        view.table(table);
        view
    }
}

/// Returns the gate's state and reason on a page.
fn gate(page: &Value) -> Option<String> {
    let text = |path: &str| page.pointer(path).and_then(Value::as_str);
    Some(format!("{}: {}", text("/gate/state")?, text("/gate/reason")?))
}

/// Counts the lanes of a page by state.
fn lanes(page: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let states = page.get("states").and_then(Value::as_object);
    for state in states.into_iter().flat_map(|states| states.values()) {
        let state = state.get("state").and_then(Value::as_str).unwrap_or("unknown");
        *counts.entry(state.replace('_', " ")).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use schemas::sign::SigningKey;
    use schemas::status_report::AgentRole;

    use super::*;

    const NOW: &str = "2026-01-31T22:15:00Z";

    fn stored(subject: &str, age_s: i64, key: &SigningKey) -> Stored {
        let now: Timestamp = NOW.parse().unwrap();
        let report = Published {
            party: PartyName::new("bureau").unwrap(),
            writer: PartyName::new("social-core").unwrap(),
            role: AgentRole::Social,
            instance: "00112233aabbccdd".into(),
            at: now - jiff::SignedDuration::from_secs(age_s),
            next_within_s: 15,
            page: r#"{"states":{"a.b":{"state":"flowing"},"a.c":{"state":"caught_up"},"a.d":{"state":"flowing"}}}"#.into(),
            history: Vec::new(),
            key: key.public().clone(),
        };
        let envelope = Envelope::sign(&report, Vec::new(), key).unwrap();
        Stored {
            subject: subject.to_owned(),
            sequence: 1,
            stored_at: now,
            trace: None,
            bytes: envelope.encode().unwrap().into(),
        }
    }

    fn state(stored: &Stored, key: &SigningKey) -> Freshness {
        let now = NOW.parse().unwrap();
        item(stored, &[key.public().clone()], now).unwrap().state
    }

    #[test]
    fn published_report_is_current_until_twice_the_promise() {
        let key = SigningKey::generate();
        for (age_s, expected) in [
            (0, Freshness::Current),
            (30, Freshness::Current),
            (31, Freshness::NoNews),
        ] {
            let stored = stored("status.bureau.social-core", age_s, &key);
            assert_eq!(state(&stored, &key), expected, "{age_s}");
        }
    }

    #[test]
    fn published_report_of_another_key_or_agent_is_not_trusted() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let own = stored("status.bureau.social-core", 0, &key);
        assert_eq!(state(&own, &other), Freshness::NotTrusted);
        for subject in ["status.bureau.social-other", "status.insurer-a.social-core"] {
            assert_eq!(state(&stored(subject, 0, &key), &key), Freshness::NotTrusted);
        }
        assert!(item(&stored("watch.bureau", 0, &key), &[], NOW.parse().unwrap()).is_none());
    }

    #[test]
    fn published_lanes_are_counted_by_state() {
        let key = SigningKey::generate();
        let stored = stored("status.bureau.social-core", 40, &key);
        let now: Timestamp = NOW.parse().unwrap();
        let report = PublishedReport {
            at: now.into(),
            agents: vec![item(&stored, &[key.public().clone()], now).unwrap()],
        };
        let text = report.view().plain().join("\n");
        assert!(
            text.contains("2 flowing") && text.contains("1 caught up"),
            "{text}"
        );
        assert!(text.contains("no news") && text.contains("40 s"), "{text}");
        assert_eq!(report.exit(), Exit::Unfinished);
    }
}
