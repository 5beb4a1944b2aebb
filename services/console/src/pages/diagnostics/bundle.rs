//! PURE: the files of the bundle, and the archive of them.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use schemas::name::PartyName;
use serde_json::{Value, json};

use super::problems::Problem;
use super::redact;
use crate::facts::{Facts, Signature};
use crate::pages::streams::StreamFacts;
use crate::site::PartyRole;

/// What is in the bundle, for the person who opens it.
const README: &str = "Slacktide diagnostics\n\n\
    versions.json               the version, the party, the time\n\
    problems.txt                what needed an operator\n\
    reports.json                the agents' signed status documents\n\
    streams.json                the states of the streams\n\
    gateway/configuration.toml  the gateway's settings; secrets are replaced\n\
    gateway/status.json         the gateway's state\n\
    gateway/metrics.txt         the gateway's measurements\n\n\
    There are no rows, requests, arguments or keys in it. The gateway's files are missing for a recipient, because they name\n\
    all parties. Read the files before you send them to anyone.\n";

/// What the gateway knows about itself.
pub(super) struct Gateway {
    pub(super) configuration: String,
    pub(super) status: Value,
    pub(super) metrics: String,
}

/// What the bundle is made of.
pub(super) struct Input<'a> {
    pub(super) at: Timestamp,
    pub(super) version: &'a str,
    pub(super) party: &'a PartyName,
    pub(super) role: PartyRole,
    pub(super) problems: Vec<Problem>,
    pub(super) facts: &'a Facts,
    pub(super) streams: &'a StreamFacts,
    pub(super) gateway: Option<&'a Gateway>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) content: String,
}

/// Returns the files. Every text goes through `redact`.
pub(super) fn files(input: &Input<'_>) -> Vec<File> {
    let file = |name, content| File { name, content };
    let versions = json!({
        "version": input.version,
        "at": input.at,
        "party": input.party,
        "role": input.role.name(),
        "exchange_round_trip_us": input.facts.exchange.as_ref().ok().map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
    });
    let mut files = vec![
        file("README.txt", README.to_owned()),
        file("versions.json", pretty(&versions)),
        file("problems.txt", problems(&input.problems)),
        file("reports.json", pretty(&redact::document(&reports(input.facts)))),
        file("streams.json", pretty(&redact::document(&streams(input.streams)))),
    ];
    if let Some(gateway) = input.gateway {
        files.push(file(
            "gateway/configuration.toml",
            redact::texts(&gateway.configuration),
        ));
        files.push(file(
            "gateway/status.json",
            pretty(&redact::document(&gateway.status)),
        ));
        files.push(file("gateway/metrics.txt", redact::secrets(&gateway.metrics)));
    }
    files
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn problems(problems: &[Problem]) -> String {
    if problems.is_empty() {
        return "none\n".to_owned();
    }
    let line = |problem: &Problem| {
        let Problem {
            kind,
            subject,
            detail,
        } = problem;
        redact::texts(&format!("{}: {subject}: {detail}\n", kind.name()))
    };
    problems.iter().map(line).collect()
}

fn reports(facts: &Facts) -> Value {
    let report = |report: &crate::facts::Report| {
        let signature = match &report.signature {
            Signature::Verified => "verified",
            Signature::NoKey => "no key",
            Signature::Refused(_) => "refused",
        };
        // A document that the party did not sign may hold anything.
        let page = match &report.signature {
            Signature::Refused(_) => Value::Null,
            _ => report.page.clone(),
        };
        json!({
            "party": report.party,
            "writer": report.writer,
            "signature": signature,
            "at": report.at,
            "stored_at": report.stored_at,
            "page": page,
        })
    };
    json!({
        "read_at": facts.at,
        "error": facts.reports_error,
        "reports": facts.reports.iter().map(report).collect::<Vec<_>>(),
    })
}

fn streams(streams: &StreamFacts) -> Value {
    let states: Vec<_> = streams.streams.iter().map(|(state, _)| state).collect();
    json!({ "streams": states, "failures": streams.failures })
}

/// Returns the files as a compressed archive. `seconds` is the time of the files.
pub(super) fn archive(files: &[File], seconds: i64) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        header.set_cksum();
        let path = format!("slacktide-diagnostics/{}", file.name);
        archive.append_data(&mut header, path, file.content.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::facts::Report;
    use crate::pages::sample::now;

    fn report(page: Value, signature: Signature) -> Report {
        Report {
            party: "insurer-a".parse().unwrap(),
            writer: "poller".to_owned(),
            signature,
            role: Some(crate::facts::AgentRole::Commercial),
            instance: "i".to_owned(),
            at: now(),
            stored_at: now(),
            next_within: Duration::from_secs(15),
            page,
            history: Vec::new(),
        }
    }

    /// Unpacks an archive into one text.
    fn unpacked(bytes: &[u8]) -> String {
        let mut archive = tar::Archive::new(GzDecoder::new(bytes));
        let mut text = String::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            text.push_str(&entry.path().unwrap().display().to_string());
            text.push('\n');
            entry.read_to_string(&mut text).unwrap();
        }
        text
    }

    /// Secrets and personal values are planted in every input; none is in the archive.
    #[test]
    fn bundle_has_no_planted_secret_and_no_person() {
        let seed = format!("SU{}", "ABCDEFG2".repeat(7));
        let planted = [
            seed.as_str(),
            "stg_plantedToken",
            "hunter2",
            "11010519491231002X",
            "13800138000",
            "MIIplantedKey",
            "planted by a stranger",
        ];
        let poison = format!(
            "seed {seed} Bearer stg_plantedToken postgres://u:hunter2@h/db person 11010519491231002X phone 13800138000"
        );
        let facts = Facts {
            at: now(),
            exchange: Err(poison.clone()),
            reports: vec![
                report(
                    json!({"last_error": poison, "lanes": {"insurer-a.claims": {"last_error": poison}}}),
                    Signature::Verified,
                ),
                report(
                    json!({"name": "planted by a stranger"}),
                    Signature::Refused(String::new()),
                ),
            ],
            reports_error: Some(poison.clone()),
        };
        let streams = StreamFacts {
            streams: Vec::new(),
            failures: vec![poison.clone()],
        };
        let gateway = Gateway {
            configuration: format!(
                "# {poison}\npassword = \"hunter2\"\n-----BEGIN PRIVATE KEY-----\nMIIplantedKey\n-----END PRIVATE KEY-----\n"
            ),
            status: json!({ "error": poison }),
            metrics: "slacktide_bytes_total 13800138001\nx{url=\"nats://u:hunter2@h\"} 1\n".to_owned(),
        };
        let party = "bureau".parse().unwrap();
        let input = Input {
            at: now(),
            version: "0",
            party: &party,
            role: PartyRole::Bureau,
            problems: super::super::problems::problems(&facts, &streams, now()),
            facts: &facts,
            streams: &streams,
            gateway: Some(&gateway),
        };
        let text = unpacked(&archive(&files(&input), 0).unwrap());
        for planted in planted {
            assert!(!text.contains(planted), "{planted}: {text}");
        }
        for kept in [
            "slacktide-diagnostics/gateway/metrics.txt",
            "slacktide_bytes_total 13800138001",
            "insurer-a.claims",
            "[secret]",
        ] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
