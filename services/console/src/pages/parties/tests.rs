use std::time::Duration;

use super::*;
use crate::pages::sample::{context, now};
use crate::site::ConsoleRole;

fn facts(test: Option<(i64, Result<Duration, String>)>) -> Facts {
    let party = PartyFacts {
        name: "insurer-a".parse().unwrap(),
        role: PartyRole::Recipient,
        test: test.map(|(age, result)| ConnectionTest {
            at: now() - SignedDuration::from_secs(age),
            result,
        }),
        keys: Vec::new(),
    };
    let token = |id: &str, hours: i64| TokenInfo {
        id: id.to_owned(),
        party: "insurer-a".parse().unwrap(),
        console: Some(ConsoleRole::Viewer),
        expires_at: now() + SignedDuration::from_hours(hours),
    };
    Facts {
        parties: vec![party],
        tokens: Ok(vec![token("one", 24 * 90), token("two", 24), token("three", -1)]),
        certificate: Err("cannot read it".to_owned()),
    }
}

#[test]
fn parties_connection_is_good_only_if_tested_just_now() {
    let context = context(PartyRole::Recipient, ConsoleRole::Viewer);
    let state = |test| {
        let row = view(&facts(test), &context).parties.remove(0);
        (row.badge.level, row.state)
    };
    let ok = || Ok(Duration::from_micros(1_500));
    assert_eq!(state(None), (Level::Unknown, "not_tested"));
    assert_eq!(state(Some((60, ok()))), (Level::Good, "answers"));
    assert_eq!(state(Some((61, ok()))), (Level::Unknown, "unknown"));
    assert_eq!(
        state(Some((-1, ok()))),
        (Level::Unknown, "unknown"),
        "of the future"
    );
    let failed = Err("unreachable".to_owned());
    assert_eq!(state(Some((1, failed))), (Level::Alarm, "silent"));
}

#[test]
fn parties_expiry_warns_before_it_ends() {
    let context = context(PartyRole::Recipient, ConsoleRole::Viewer);
    let view = view(&facts(None), &context);
    let states: Vec<&str> = view.tokens.iter().map(|token| token.expiry.state).collect();
    assert_eq!(states, ["valid", "soon", "expired"]);
    assert_eq!(
        view.certificate.badge.level,
        Level::Unknown,
        "it could not be read"
    );
    assert_eq!(view.tokens[0].expiry.left, "90 days left");
}

#[test]
fn parties_of_others_are_for_the_auditor() {
    let name = |text: &str| text.parse::<PartyName>().unwrap();
    let all = BTreeMap::from([
        (name("auditor"), PartyRole::Auditor),
        (name("insurer-a"), PartyRole::Recipient),
        (name("insurer-b"), PartyRole::Recipient),
    ]);
    let own = name("insurer-a");
    assert_eq!(
        visible(PartyRole::Recipient, &own, &all),
        std::slice::from_ref(&own)
    );
    assert_eq!(visible(PartyRole::Auditor, &name("auditor"), &all).len(), 3);
}
