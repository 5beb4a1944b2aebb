use exchange::stream_state::Replica;

use super::*;
use crate::pages::sample::{context, now};
use crate::site::{ConsoleRole, PartyRole};

fn state(bytes: u64, max_bytes: u64) -> StreamState {
    StreamState {
        name: "DATA_insurer-a".to_owned(),
        messages: 12_345,
        bytes,
        max_bytes: Some(max_bytes),
        first_sequence: 1,
        last_sequence: 12_345,
        first_stored_at: Some(now() - SignedDuration::from_hours(240)),
        last_stored_at: Some(now()),
        leader: None,
        replicas: Vec::new(),
    }
}

fn level(state: &StreamState) -> Level {
    let context = context(PartyRole::Auditor, ConsoleRole::Viewer);
    row(state, None, &context).badge.level
}

#[test]
fn stream_that_fills_or_lags_is_an_alarm() {
    let gib = 1 << 30;
    assert_eq!(level(&state(gib, 100 * gib)), Level::Good);
    assert_eq!(
        level(&state(70 * gib, 100 * gib)),
        Level::Alarm,
        "at the alarm's percent"
    );
    // 6 GiB a day, 40 GiB are left: less than seven days.
    assert_eq!(level(&state(60 * gib, 100 * gib)), Level::Alarm, "full soon");
    let mut behind = state(gib, 100 * gib);
    behind.replicas.push(Replica {
        server: "n2".to_owned(),
        is_current: false,
        is_offline: false,
        lag: 1_000,
        active_ms: 12,
    });
    assert_eq!(level(&behind), Level::Alarm, "a copy lags");
}

#[test]
fn stream_page_names_numbers_period_and_copies() {
    let context = context(PartyRole::Auditor, ConsoleRole::Viewer);
    let facts = StreamFacts {
        streams: vec![(state(10 << 20, 100 << 20), None)],
        failures: vec!["audit.bureau: <denied>".to_owned()],
    };
    let page = view(&facts, &context).render().unwrap();
    for expected in [
        "12,345",
        "10 MiB",
        "1 MiB a day",
        "10 days",
        "value=\"10485760\"",
        "&#60;denied&#62;",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}
