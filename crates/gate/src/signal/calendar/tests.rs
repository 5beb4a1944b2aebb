use jiff::civil::{DateTime, Time, date};
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn weekly(days: &[&str], from: &str, to: &str) -> When {
    let days: Vec<_> = days.iter().map(|day| (*day).to_owned()).collect();
    window(&days, from, to).unwrap()
}

fn nights(zone_name: &str) -> Calendar {
    Calendar {
        zone: zone(zone_name),
        windows: vec![weekly(&["mon-fri"], "22:00", "06:00")],
        blackouts: vec![Blackout {
            when: when(&[], "2026-12-31", "2027-01-01").unwrap(),
            reason: Some("year end".to_owned()),
        }],
    }
}

#[test]
fn a_window_crosses_midnight_and_belongs_to_the_day_it_began_on() {
    let calendar = nights("Asia/Shanghai");
    // Friday night into Saturday.
    let status = at(moment("2026-11-28T03:00:00+08:00"), &calendar);
    assert_eq!(
        status,
        Status {
            open: true,
            why: "inside the window mon,tue,wed,thu,fri 22:00 to 06:00".to_owned(),
            changes_at: Some(moment("2026-11-28T06:00:00+08:00")),
        }
    );
    // Saturday night is none of its days; Monday's begins at ten.
    let status = at(moment("2026-11-28T23:00:00+08:00"), &calendar);
    assert_eq!(
        (status.open, status.why.as_str()),
        (false, "outside every window")
    );
    assert_eq!(status.changes_at, Some(moment("2026-11-30T22:00:00+08:00")));
}

#[test]
fn a_blackout_wins_and_names_its_reason_and_its_last_day_is_included() {
    let status = at(moment("2026-12-31T23:00:00+08:00"), &nights("Asia/Shanghai"));
    assert!(!status.open && status.why.contains("(year end)"), "{status:?}");
    // New Year's Friday is its last day; that night's window is what opens.
    assert_eq!(status.changes_at, Some(moment("2027-01-02T00:00:00+08:00")));
}

#[test]
fn the_clocks_skip_an_hour_and_repeat_one() {
    let calendar = Calendar {
        zone: zone("Europe/Berlin"),
        windows: vec![weekly(&[], "02:00", "03:00")],
        blackouts: Vec::new(),
    };
    // On 29 March 2026 there is no such hour: the next is a day later.
    let status = at(moment("2026-03-28T12:00:00Z"), &calendar);
    assert_eq!(status.changes_at, Some(moment("2026-03-30T00:00:00Z")));
    // On 25 October 2026 there are two in a row.
    let status = at(moment("2026-10-25T00:30:00Z"), &calendar);
    assert!(status.open);
    assert_eq!(status.changes_at, Some(moment("2026-10-25T02:00:00Z")));
}

#[test]
fn nothing_given_is_always_open_and_a_whole_week_never_changes() {
    let mut calendar = Calendar {
        zone: TimeZone::UTC,
        windows: Vec::new(),
        blackouts: Vec::new(),
    };
    let now = moment("2026-11-23T00:00:00Z");
    assert_eq!(at(now, &calendar).changes_at, None);
    assert!(at(now, &calendar).open);
    calendar.windows.push(weekly(&[], "00:00", "24:00"));
    assert!(at(now, &calendar).open);
}

#[test]
fn what_is_no_time_is_refused() {
    for (days, from, to) in [
        (&["mon"][..], "9:00", "10:00"),
        (&["mon"], "09:00", "25:00"),
        (&["monday"], "09:00", "10:00"),
        (&["mon-"], "09:00", "10:00"),
        (&[], "2026-12-31", "2026-12-30"),
        (&[], "2026-12-31T10:00:00+08:00", "2027-01-01"),
        (&[], "2026-13-31", "2027-01-01"),
        (&[], "2026-12-31", "06:00"),
    ] {
        let days: Vec<_> = days.iter().map(|day| (*day).to_owned()).collect();
        assert!(when(&days, from, to).is_err(), "{from} {to}");
    }
    assert!(when(&[], "2026-12-31T10:00:00+08:00", "2027-01-01T00:00:00Z").is_ok());
    assert!(when(&[], "2026-12-31T10:00", "2027-01-01").is_ok());
}

/// The signal remembers until when its word holds; a clock that is set back makes it look again.
#[test]
fn the_signal_follows_the_clock_forth_and_back() {
    let mut signal = CalendarSignal::new(nights("Asia/Shanghai"));
    for (text, value) in [
        ("2026-11-23T21:59:59+08:00", 1.0),
        ("2026-11-23T22:00:00+08:00", 0.0),
        ("2026-11-24T05:59:59+08:00", 0.0),
        ("2026-11-24T06:00:00+08:00", 1.0),
        ("2026-11-23T23:00:00+08:00", 0.0),
        ("2026-11-23T12:00:00+08:00", 1.0),
    ] {
        let said = signal.value(moment(text));
        assert!((said - value).abs() < 1e-9, "{text}: {said}");
    }
}

fn any_time() -> impl Strategy<Value = Time> {
    (0_i8..24, prop_oneof![Just(0_i8), Just(30), 0_i8..60])
        .prop_map(|(hour, minute)| Time::new(hour, minute, 0, 0).unwrap())
}

fn any_clock() -> impl Strategy<Value = DateTime> {
    (0_i32..9, any_time()).prop_map(|(day, time)| (date(2026, 3, 26) + day.days()).to_datetime(time))
}

fn any_rule() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => (any::<[bool; 7]>(), any_time(), any_time())
            .prop_map(|(days, from, to)| When::Weekly { days, from, to }),
        1 => (any_clock(), any_clock()).prop_map(|(one, two)| When::Local { from: one.min(two), to: one.max(two) }),
    ]
}

/// Written another way than the code: the day's whole list of stretches, laid beside the clock.
fn brute(now: Timestamp, calendar: &Calendar) -> bool {
    let clock = calendar.zone.to_datetime(now);
    let covers = |when: &When| match when {
        When::Exact { from, to } => (*from..*to).contains(&now),
        When::Local { from, to } => (*from..*to).contains(&clock),
        When::Weekly { days, from, to } => [clock.date(), clock.date() - 1.day()].into_iter().any(|day| {
            let end = if to > from { day } else { day + 1.day() };
            days[rule::index(day.weekday())]
                && (day.to_datetime(*from)..end.to_datetime(*to)).contains(&clock)
        }),
    };
    let windows = calendar.windows.is_empty() || calendar.windows.iter().any(covers);
    windows && !calendar.blackouts.iter().any(|blackout| covers(&blackout.when))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Against a walk, minute by minute, over a week in which the clocks change.
    #[test]
    fn says_what_a_walk_by_the_minute_says(
        windows in prop::collection::vec(any_rule(), 0..3),
        blackouts in prop::collection::vec(any_rule(), 0..3),
        name in prop::sample::select(vec!["Europe/Berlin", "Asia/Shanghai", "Australia/Lord_Howe", "Pacific/Apia"]),
        autumn in any::<bool>(),
        start in 0_i64..3 * 24 * 60,
    ) {
        let blackouts = blackouts.into_iter().map(|when| Blackout { when, reason: None }).collect();
        let calendar = Calendar { zone: zone(name), windows, blackouts };
        let base = if autumn { "2026-10-23T00:00:00Z" } else { "2026-03-27T00:00:00Z" };
        let start = moment(base) + SignedDuration::from_mins(start);
        let status = at(start, &calendar);
        prop_assert_eq!(status.open, brute(start, &calendar));
        let change = (1..4 * 24 * 60)
            .map(|minute| start + SignedDuration::from_mins(minute))
            .find(|moment| brute(*moment, &calendar) != status.open);
        let horizon = start + SignedDuration::from_mins(4 * 24 * 60);
        match change {
            Some(change) => prop_assert_eq!(status.changes_at, Some(change)),
            None => prop_assert!(status.changes_at.is_none_or(|told| told >= horizon)),
        }
    }
}
