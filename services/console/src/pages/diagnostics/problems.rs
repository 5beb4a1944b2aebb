//! PURE: what needs an operator, by the facts that were read.

use jiff::Timestamp;

use crate::facts::page::{entries, text};
use crate::facts::{Facts, Signature};
use crate::pages::streams::StreamFacts;

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ProblemKind,
    /// The agent, lane or stream.
    pub(super) subject: String,
    /// Cause and remedy, as reported.
    pub(super) detail: String,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// The exchange does not answer.
    Exchange,
    /// The status reports cannot be read.
    Reports,
    /// No agent has reported.
    NoReports,
    /// A report is overdue.
    Overdue,
    /// A report is not verified.
    Unverified,
    /// The signature of a report is refused.
    Refused,
    /// A lane is stopped or behind.
    Lane,
    /// A stream cannot be read.
    StreamUnread,
    /// A stream fills.
    StreamFull,
    /// A copy of a stream lags.
    Copy,
}

impl ProblemKind {
    /// The key of its text.
    pub(super) fn text_key(self) -> &'static str {
        match self {
            Self::Exchange => "overview.silent",
            Self::Reports => "overview.reports_error",
            Self::NoReports => "overview.no_reports",
            Self::Overdue => "report.overdue",
            Self::Unverified => "report.unverified",
            Self::Refused => "report.refused",
            Self::Lane => "diagnostics.lane",
            Self::StreamUnread => "streams.failed",
            Self::StreamFull => "streams.filling",
            Self::Copy => "streams.copies_behind",
        }
    }

    /// Its name in the bundle.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Reports => "reports",
            Self::NoReports => "no report",
            Self::Overdue => "report overdue",
            Self::Unverified => "report not verified",
            Self::Refused => "report refused",
            Self::Lane => "lane",
            Self::StreamUnread => "stream not read",
            Self::StreamFull => "stream fills",
            Self::Copy => "copy of a stream behind",
        }
    }
}

/// Returns everything that needs an operator.
pub(super) fn problems(facts: &Facts, streams: &StreamFacts, now: Timestamp) -> Vec<Problem> {
    let problem = |kind, subject: &str, detail: &str| Problem {
        kind,
        subject: subject.to_owned(),
        detail: detail.to_owned(),
    };
    let mut found = Vec::new();
    if let Err(error) = &facts.exchange {
        found.push(problem(ProblemKind::Exchange, "", error));
    }
    if let Some(error) = &facts.reports_error {
        found.push(problem(ProblemKind::Reports, "", error));
    }
    if facts.exchange.is_ok() && facts.reports_error.is_none() && facts.reports.is_empty() {
        found.push(problem(ProblemKind::NoReports, "", ""));
    }
    for report in &facts.reports {
        let agent = format!("{} / {}", report.party, report.writer);
        match &report.signature {
            Signature::Refused(error) => {
                found.push(problem(ProblemKind::Refused, &agent, error));
                continue;
            }
            Signature::NoKey => found.push(problem(ProblemKind::Unverified, &agent, "")),
            Signature::Verified => {}
        }
        if report.is_overdue(now) {
            let at = format!("{:.0}", report.evidence_at());
            found.push(problem(ProblemKind::Overdue, &agent, &at));
        }
        for (lane, judged) in entries(&report.page, "/states") {
            let state = text(judged, "/state").unwrap_or("unknown");
            let is_fine = matches!(state, "flowing" | "caught_up" | "waiting_for_slack" | "held");
            if !is_fine {
                let parts = [Some(state), text(judged, "/why"), text(judged, "/remedy")];
                let detail: Vec<&str> = parts.into_iter().flatten().collect();
                found.push(problem(ProblemKind::Lane, lane, &detail.join("; ")));
            }
        }
    }
    for failure in &streams.failures {
        found.push(problem(ProblemKind::StreamUnread, "", failure));
    }
    for (state, _) in &streams.streams {
        if let Some(fullness) = state.fullness().filter(exchange::Fullness::is_alarming) {
            let percent = format!("{} %", fullness.percent());
            found.push(problem(ProblemKind::StreamFull, &state.name, &percent));
        }
        for copy in state
            .replicas
            .iter()
            .filter(|copy| copy.is_offline || !copy.is_current)
        {
            found.push(problem(ProblemKind::Copy, &state.name, &copy.server));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Without a report nothing is known of the agents, which is not "no problem".
    #[test]
    fn problems_name_missing_reports() {
        let facts = Facts {
            at: Timestamp::UNIX_EPOCH,
            exchange: Ok(Duration::ZERO),
            reports: Vec::new(),
            reports_error: None,
        };
        let found = problems(&facts, &StreamFacts::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            found.iter().map(|problem| problem.kind).collect::<Vec<_>>(),
            [ProblemKind::NoReports]
        );
    }
}
