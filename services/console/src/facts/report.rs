//! One agent's report: its status document, signed by the agent.

use std::time::Duration;

use exchange::port::Stream;
use exchange::{Exchange, Stored};
use jiff::{SignedDuration, Timestamp};
use schemas::envelope::Envelope;
use schemas::name::PartyName;
use schemas::sign::PublicKey;
use schemas::status_report::StatusReport;
pub use schemas::status_report::{AgentRole, HistoryBucket};
use serde_json::Value;

use super::trust::Trust;
use crate::site::PartyRole;

/// A report may be late by this much before it counts as overdue, also with a short interval.
const TOLERANCE: Duration = Duration::from_secs(5);

/// Whether the signature of a report was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// By a configured key of the party.
    Verified,
    /// The console has no key of the party.
    NoKey,
    /// It does not match, or the report is of another party than its subject. Its content is not shown.
    Refused(String),
}

/// One agent's report.
#[derive(Debug, Clone)]
pub struct Report {
    /// The party, by the subject.
    pub party: PartyName,
    /// The writer, by the subject.
    pub writer: String,
    /// Whether the report was verified.
    pub signature: Signature,
    /// What the agent does; `None` if the report was refused.
    pub role: Option<AgentRole>,
    /// The process.
    pub instance: String,
    /// When the agent made it, by the agent's clock.
    pub at: Timestamp,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// The next report follows within this time.
    pub next_within: Duration,
    /// The agent's status document.
    pub page: Value,
    /// The last 24 h of the gate, oldest first; empty for other agents than the bureau's.
    pub history: Vec<HistoryBucket>,
}

impl Report {
    /// Returns the evidence time: the earlier of the agent's and the exchange's, so that a report that is stored again is not new.
    #[must_use]
    pub fn evidence_at(&self) -> Timestamp {
        self.at.min(self.stored_at)
    }

    /// Returns whether the next report is overdue: the agent, its connection or its clock failed.
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let allowed = (self.next_within * 2).max(TOLERANCE);
        let allowed = SignedDuration::try_from(allowed).unwrap_or(SignedDuration::MAX);
        now.duration_since(self.evidence_at()) > allowed
    }

    /// Returns whether its content may be shown as the state of now.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.signature != Signature::NoKey
            && !matches!(self.signature, Signature::Refused(_))
            && !self.is_overdue(now)
    }
}

/// Reads the last report of each agent that a party may read: its own, and for the auditor those of all parties. The second value is
/// the first error, with the party whose reports are missing.
pub(crate) async fn read_all(
    party: &PartyName,
    role: PartyRole,
    exchange: &dyn Exchange,
    trust: &Trust,
) -> (Vec<Report>, Option<String>) {
    let parties = match role {
        PartyRole::Auditor => match exchange.parties(Stream::Audit).await {
            // The auditor has no agent, so there is no stream of its reports.
            Ok(parties) => parties.into_iter().filter(|other| other != party).collect(),
            Err(error) => return (Vec::new(), Some(error.to_string())),
        },
        PartyRole::Bureau | PartyRole::Recipient => vec![party.clone()],
    };
    let (mut reports, mut first_error) = (Vec::new(), None);
    for party in parties {
        let keys = trust.keys(&party);
        match exchange.statuses(&party).await {
            Ok(stored) => reports.extend(stored.iter().filter_map(|stored| read(&party, keys, stored))),
            // What the others report stays visible.
            Err(error) => first_error = first_error.or_else(|| Some(format!("{party}: {error}"))),
        }
    }
    reports.sort_by(|a, b| (&a.party, &a.writer).cmp(&(&b.party, &b.writer)));
    (reports, first_error)
}

/// PURE: reads one stored report of a party. `None` if its subject is of another party: it must not be shown.
fn read(party: &PartyName, keys: &[PublicKey], stored: &Stored) -> Option<Report> {
    let writer = stored
        .subject
        .strip_prefix("status.")?
        .strip_prefix(party.as_str())?
        .strip_prefix('.')?;
    let refused = |why: String| Report {
        party: party.clone(),
        writer: writer.to_owned(),
        signature: Signature::Refused(why),
        role: None,
        instance: String::new(),
        at: stored.stored_at,
        stored_at: stored.stored_at,
        next_within: Duration::ZERO,
        page: Value::Null,
        history: Vec::new(),
    };
    let envelope = match Envelope::decode(&stored.bytes) {
        Ok(envelope) => envelope,
        Err(error) => return Some(refused(error.to_string())),
    };
    // Without a key the content is shown as not verified; with one, nothing that does not match is shown.
    let (signature, read) = if keys.is_empty() {
        (Signature::NoKey, envelope.read::<StatusReport>())
    } else {
        (Signature::Verified, envelope.verify::<StatusReport>(keys))
    };
    let report = match read {
        Ok(report) => report,
        Err(error) => return Some(refused(error.to_string())),
    };
    if report.party != *party || report.writer.as_str() != writer {
        let of = format!("the report is of {} / {}", report.party, report.writer);
        return Some(refused(of));
    }
    let page = match serde_json::from_str(&report.page) {
        Ok(page) => page,
        Err(error) => return Some(refused(format!("its page is not JSON: {error}"))),
    };
    Some(Report {
        party: party.clone(),
        writer: writer.to_owned(),
        signature,
        role: Some(report.role),
        instance: report.instance,
        at: report.at,
        stored_at: stored.stored_at,
        next_within: Duration::from_secs(u64::from(report.next_within_s)),
        page,
        history: report.history,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::sign::SigningKey;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn party() -> PartyName {
        PartyName::new("bureau").unwrap()
    }

    fn stored(subject: &str, of: &str, key: &SigningKey) -> Stored {
        let report = StatusReport {
            party: PartyName::new(of).unwrap(),
            writer: PartyName::new("social").unwrap(),
            role: AgentRole::Social,
            instance: "a".to_owned(),
            at: at(100),
            next_within_s: 15,
            page: "{\"states\":{}}".to_owned(),
            history: Vec::new(),
            key: key.public().clone(),
        };
        let envelope = Envelope::sign(&report, Vec::new(), key).unwrap();
        Stored {
            subject: subject.to_owned(),
            sequence: 1,
            stored_at: at(101),
            trace: None,
            bytes: envelope.encode().unwrap().into(),
        }
    }

    #[test]
    fn report_is_verified_only_by_a_key_of_its_party() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let stored = stored("status.bureau.social", "bureau", &key);
        let signature = |keys: &[PublicKey]| read(&party(), keys, &stored).unwrap().signature;
        assert_eq!(signature(&[key.public().clone()]), Signature::Verified);
        assert_eq!(signature(&[]), Signature::NoKey);
        assert!(matches!(
            signature(&[other.public().clone()]),
            Signature::Refused(_)
        ));
    }

    #[test]
    fn report_of_another_party_is_not_shown() {
        let key = SigningKey::generate();
        let keys = [key.public().clone()];
        let of_other = stored("status.bureau.social", "insurer-a", &key);
        let report = read(&party(), &keys, &of_other).unwrap();
        assert!(matches!(report.signature, Signature::Refused(_)));
        assert_eq!(report.page, Value::Null);
        for subject in [
            "status.bureau-b.social",
            "status.insurer-a.social",
            "status.bureau",
        ] {
            assert!(
                read(&party(), &keys, &stored(subject, "bureau", &key)).is_none(),
                "{subject}"
            );
        }
        let other_writer = stored("status.bureau.other", "bureau", &key);
        let report = read(&party(), &keys, &other_writer).unwrap();
        assert!(matches!(report.signature, Signature::Refused(_)));
    }

    #[test]
    fn report_is_overdue_after_twice_its_interval() {
        let key = SigningKey::generate();
        let report = read(
            &party(),
            &[key.public().clone()],
            &stored("status.bureau.social", "bureau", &key),
        );
        let mut report = report.unwrap();
        assert!(report.is_current(at(130)) && !report.is_current(at(131)));
        // A report that was stored again is as old as its signature.
        report.stored_at = at(9_000);
        assert!(report.is_overdue(at(9_001)));
        report.next_within = Duration::from_secs(1);
        assert!(!report.is_overdue(at(105)) && report.is_overdue(at(106)));
    }
}
