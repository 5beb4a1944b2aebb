use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::html::Level;
use crate::pages::sample::{context, now};
use crate::site::ConsoleRole;

fn report(age_s: i64, signature: Signature) -> Report {
    let at: Timestamp = now() - jiff::SignedDuration::from_secs(age_s);
    Report {
        party: "insurer-a".parse().unwrap(),
        writer: "poller".to_owned(),
        signature,
        role: Some(AgentRole::Commercial),
        instance: "i".to_owned(),
        at,
        stored_at: at,
        next_within: Duration::from_secs(15),
        page: json!({"quarantine": {"insurer-a.claims": {
            "row": {"count": 1234, "oldest": "2026-01-30T00:00:00Z"},
            "message": {"count": 0, "oldest": "2026-01-30T00:00:00Z"}}}}),
        history: Vec::new(),
    }
}

fn facts(report: Report) -> Facts {
    Facts {
        at: now(),
        exchange: Ok(Duration::from_millis(1)),
        reports: vec![report],
        reports_error: None,
    }
}

#[test]
fn quarantine_counts_are_the_reports_counts() {
    let context = context(PartyRole::Recipient, ConsoleRole::Operator);
    let view = view(&facts(report(3, Signature::Verified)), &context);
    let agent = &view.agents[0];
    assert_eq!((agent.total, agent.rows.len()), (1_234, 1));
    assert_eq!(agent.rows[0].count, "1,234");
    assert_eq!(agent.badge.level, Level::Alarm);
    let page = view.render().unwrap();
    assert!(
        page.contains("slacktide quarantine show ID --reveal --reason"),
        "{page}"
    );
}

#[test]
fn quarantine_old_or_unsigned_report_is_never_good() {
    let context = context(PartyRole::Auditor, ConsoleRole::Viewer);
    let empty = |age, signature| {
        let mut report = report(age, signature);
        report.page = json!({"quarantine": {}});
        view(&facts(report), &context).agents.remove(0)
    };
    assert_eq!(empty(3, Signature::Verified).badge.level, Level::Good);
    assert_ne!(empty(31, Signature::Verified).badge.level, Level::Good);
    assert_ne!(empty(3, Signature::NoKey).badge.level, Level::Good);
    let refused = Signature::Refused("it does not match".to_owned());
    assert_eq!(empty(3, refused).badge.level, Level::Alarm);
}

#[test]
fn quarantine_viewer_gets_no_command_that_reveals() {
    let context = context(PartyRole::Recipient, ConsoleRole::Viewer);
    let lines: Vec<String> = commands(&context)
        .into_iter()
        .map(|command| command.line)
        .collect();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains("--reveal"));
}
