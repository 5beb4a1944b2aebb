//! The findings as a value: the JSON and the lines that `slacktide audit verify` and `slacktide-verify` print.
//!
//! - `items` the types of its fields

mod items;

use schemars::JsonSchema;
use serde::Serialize;

use crate::export::verify::ExportFindings;
use crate::findings::Findings;
use items::{FaultItem, FileItem, HeadsItem, KeyItem, LaneItem, LoadCounts, RequestCounts, VerifiedCounts};

/// A line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportLine {
    /// A result.
    Result(String),
    /// Something that the verification does not cover.
    NotCovered(String),
    /// A fault.
    Fault(String),
}

/// What the streams prove.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "audit verify")]
pub struct VerifyReport {
    /// The files of an export, in their order; empty if live streams were verified.
    files: Vec<FileItem>,
    /// Whether an export reaches the end of every stream, and no file is missing; `null` if live streams were verified.
    is_complete: Option<bool>,
    /// The lanes, by name.
    lanes: Vec<LaneItem>,
    /// Chunks in the stream.
    chunks: u64,
    /// Valid chunks.
    chunks_verified: u64,
    /// Valid chunks whose rows and sums were not checked: they are encrypted and no key was given.
    chunks_not_decrypted: u64,
    /// Chunks that were published under an older control record than an earlier chunk names.
    chunks_unanchored: u64,
    /// Rows whose values and sums were checked.
    rows_verified: u64,
    /// Valid messages, by what they are.
    verified: VerifiedCounts,
    requests: RequestCounts,
    load: LoadCounts,
    /// The use of each key.
    keys: Vec<KeyItem>,
    /// What the verification does not cover, one sentence each.
    not_covered: Vec<String>,
    heads: HeadsItem,
    /// The first fault of each lane or chain, and every fault of other messages.
    faults: Vec<FaultItem>,
    /// Faults that are not listed, because there are too many.
    faults_not_listed: u64,
    #[serde(skip)]
    lines: Vec<ReportLine>,
}

impl VerifyReport {
    /// Creates it from the findings of live streams.
    #[must_use]
    pub fn of_streams(findings: &Findings) -> Self {
        Self {
            files: Vec::new(),
            is_complete: None,
            lanes: findings.lanes.iter().map(LaneItem::new).collect(),
            chunks: findings.chunks,
            chunks_verified: findings.chunks_verified,
            chunks_not_decrypted: findings.chunks_not_decrypted,
            chunks_unanchored: findings.chunks_unanchored,
            rows_verified: findings.rows_verified,
            verified: VerifiedCounts {
                chunks: findings.chunks_verified,
                receipts: findings.receipts_verified,
                requests: findings.requests_verified,
                cancels: findings.cancels_verified,
                approvals: findings.approvals_verified,
                progress: findings.progress_verified,
                parts: findings.parts_verified,
                parts_not_decrypted: findings.parts_not_decrypted,
                replies: findings.replies_verified,
                confirms: findings.confirms_verified,
                entries: findings.entries_verified,
                orders: findings.orders_verified,
            },
            requests: RequestCounts {
                filed: findings.requests.filed,
                replied: findings.requests.replied,
                confirmed: findings.requests.confirmed,
                open: findings.requests.open,
                unconfirmed: findings.requests.unconfirmed,
                unnamed_parts: findings.requests.unnamed_parts,
            },
            load: LoadCounts {
                checked: findings.loads_checked,
                violated: findings.loads_violated,
                not_measured: findings.loads_not_measured,
            },
            keys: findings.keys.iter().map(KeyItem::from).collect(),
            not_covered: findings.not_covered.clone(),
            heads: HeadsItem::from(&findings.heads),
            faults: findings.faults.iter().map(FaultItem::from).collect(),
            faults_not_listed: findings.faults_not_listed,
            lines: lines(findings),
        }
    }

    /// Creates it from the findings of an export.
    #[must_use]
    pub fn of_export(export: &ExportFindings) -> Self {
        let mut report = Self::of_streams(&export.findings);
        report.files = export.files.iter().map(FileItem::from).collect();
        report.is_complete = Some(export.is_complete);
        let records: u64 = export.files.iter().map(|file| file.records).sum();
        let files = match export.files.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        let end = if export.is_complete {
            "to the end of every stream"
        } else {
            "not to the end of every stream"
        };
        let line = ReportLine::Result(format!("{files} with {records} records, {end}"));
        report.lines.insert(0, line);
        report
    }

    /// Returns the lines for people.
    #[must_use]
    pub fn lines(&self) -> &[ReportLine] {
        &self.lines
    }
}

fn lines(findings: &Findings) -> Vec<ReportLine> {
    let mut lines = Vec::new();
    for (lane, report) in &findings.lanes {
        lines.push(ReportLine::Result(format!(
            "{lane}: {} chunks, {} rows, up to epoch {} number {}",
            report.chunks, report.rows, report.epoch, report.number
        )));
    }
    lines.push(ReportLine::Result(format!(
        "{} of {} chunks, {} receipts and {} audit entries are valid",
        findings.chunks_verified, findings.chunks, findings.receipts_verified, findings.entries_verified
    )));
    let more = [
        (findings.orders_verified, "orders"),
        (findings.requests_verified, "requests"),
        (findings.cancels_verified, "cancellations"),
        (findings.approvals_verified, "decisions"),
        (findings.parts_verified, "parts"),
        (findings.replies_verified, "replies"),
        (findings.confirms_verified, "confirmations"),
    ];
    let more: Vec<String> = more
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !more.is_empty() {
        lines.push(ReportLine::Result(format!("valid too: {}", more.join(", "))));
    }
    if findings.loads_checked > 0 {
        lines.push(ReportLine::Result(format!(
            "the gate was allowed to be open for {} of {} chunks and parts with rows",
            findings.loads_checked - findings.loads_violated,
            findings.loads_checked
        )));
    }
    lines.extend(findings.not_covered.iter().cloned().map(ReportLine::NotCovered));
    lines.extend(
        findings
            .faults
            .iter()
            .map(|fault| ReportLine::Fault(fault.to_string())),
    );
    if findings.faults_not_listed > 0 {
        let what = format!("{} more faults, not listed", findings.faults_not_listed);
        lines.push(ReportLine::Fault(what));
    }
    lines
}
