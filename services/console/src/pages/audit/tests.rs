use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::pages::sample::{context, now};
use crate::site::ConsoleRole;

fn done(result: Result<Verification, String>) -> JobView {
    let job = Job::Done {
        started: now() - jiff::SignedDuration::from_secs(75),
        ended: now(),
        read: 1_000,
        result,
    };
    job_view(&job, &context(PartyRole::Auditor, ConsoleRole::Viewer))
}

#[test]
fn audit_verification_is_good_only_with_proof() {
    let sound = Verification {
        chunks: 3,
        chunks_verified: 3,
        ..Verification::default()
    };
    assert_eq!(done(Ok(sound.clone())).badge.level, Level::Good);
    assert_eq!(done(Ok(Verification::default())).badge.level, Level::Unknown);
    let faulty = Verification {
        faults: vec!["data.insurer-a.claims at sequence 4: a gap".to_owned()],
        ..sound
    };
    assert_eq!(done(Ok(faulty)).badge.level, Level::Alarm);
    assert_eq!(done(Err("unreachable".to_owned())).badge.level, Level::Alarm);
}

#[test]
fn audit_verification_that_runs_shows_its_progress() {
    let job = Job::Running {
        started: now(),
        read: Arc::new(AtomicU64::new(2_500)),
        total: Some(10_000),
    };
    let view = job_view(&job, &context(PartyRole::Auditor, ConsoleRole::Viewer));
    assert_eq!(view.badge.level, Level::Waiting);
    assert!(
        view.progress.contains("2,500") && view.progress.contains("25 %"),
        "{}",
        view.progress
    );
}

#[test]
fn audit_choice_of_the_url_is_checked() {
    let mut context = context(PartyRole::Auditor, ConsoleRole::Viewer);
    context.query = [("party", "../x"), ("before", "-1"), ("writers", "all")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let expected = Choice {
        party: None,
        before: None,
        with_agents: true,
    };
    assert_eq!(choice(&context), expected);
}
