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

fn weekly(days: &[&str], from: &str, to: &str) -> Period {
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
fn window_across_midnight_belongs_to_the_day_it_started_on() {
    let calendar = nights("Asia/Shanghai");
    // Friday night into Saturday.
    let status = status_at(moment("2026-11-28T03:00:00+08:00"), &calendar);
    assert_eq!(
        status,
        Status {
            open: true,
            why: "inside the window mon,tue,wed,thu,fri 22:00 to 06:00".to_owned(),
            changes_at: Some(moment("2026-11-28T06:00:00+08:00")),
        }
    );
    // There is no window on Saturday night; Monday's starts at 22:00.
    let status = status_at(moment("2026-11-28T23:00:00+08:00"), &calendar);
    assert_eq!(
        (status.open, status.why.as_str()),
        (false, "outside every window")
    );
    assert_eq!(status.changes_at, Some(moment("2026-11-30T22:00:00+08:00")));
}

#[test]
fn blackout_overrides_a_window_and_includes_its_last_day() {
    let status = status_at(moment("2026-12-31T23:00:00+08:00"), &nights("Asia/Shanghai"));
    assert!(!status.open && status.why.contains("(year end)"), "{status:?}");
    // Friday, New Year's Day, is its last day; that night's window opens the gate.
    assert_eq!(status.changes_at, Some(moment("2027-01-02T00:00:00+08:00")));
}

#[test]
fn window_in_a_skipped_or_repeated_hour() {
    let calendar = Calendar {
        zone: zone("Europe/Berlin"),
        windows: vec![weekly(&[], "02:00", "03:00")],
        blackouts: Vec::new(),
    };
    // On 29 March 2026 the hour does not exist: the next one is a day later.
    let status = status_at(moment("2026-03-28T12:00:00Z"), &calendar);
    assert_eq!(status.changes_at, Some(moment("2026-03-30T00:00:00Z")));
    // On 25 October 2026 the hour occurs twice in a row.
    let status = status_at(moment("2026-10-25T00:30:00Z"), &calendar);
    assert!(status.open);
    assert_eq!(status.changes_at, Some(moment("2026-10-25T02:00:00Z")));
}

#[test]
fn calendar_empty_or_whole_week_is_always_open() {
    let mut calendar = Calendar {
        zone: TimeZone::UTC,
        windows: Vec::new(),
        blackouts: Vec::new(),
    };
    let now = moment("2026-11-23T00:00:00Z");
    assert_eq!(status_at(now, &calendar).changes_at, None);
    assert!(status_at(now, &calendar).open);
    calendar.windows.push(weekly(&[], "00:00", "24:00"));
    assert!(status_at(now, &calendar).open);
}

#[test]
fn invalid_times_are_refused() {
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

/// The signal caches its state; a clock that is set back invalidates it.
#[test]
fn calendar_signal_follows_the_clock_in_both_directions() {
    let mut signal = CalendarSignal::new(nights("Asia/Shanghai"));
    for (text, value) in [
        ("2026-11-23T21:59:59+08:00", 1.0),
        ("2026-11-23T22:00:00+08:00", 0.0),
        ("2026-11-24T05:59:59+08:00", 0.0),
        ("2026-11-24T06:00:00+08:00", 1.0),
        ("2026-11-23T23:00:00+08:00", 0.0),
        ("2026-11-23T12:00:00+08:00", 1.0),
    ] {
        let reading = signal.value(moment(text));
        assert!((reading - value).abs() < 1e-9, "{text}: {reading}");
    }
}

fn any_time() -> impl Strategy<Value = Time> {
    (0_i8..24, prop_oneof![Just(0_i8), Just(30), 0_i8..60])
        .prop_map(|(hour, minute)| Time::new(hour, minute, 0, 0).unwrap())
}

fn any_clock() -> impl Strategy<Value = DateTime> {
    (0_i32..9, any_time()).prop_map(|(day, time)| (date(2026, 3, 26) + day.days()).to_datetime(time))
}

fn any_rule() -> impl Strategy<Value = Period> {
    prop_oneof![
        3 => (any::<[bool; 7]>(), any_time(), any_time())
            .prop_map(|(days, from, to)| Period::Weekly { days, from, to }),
        1 => (any_clock(), any_clock()).prop_map(|(one, two)| Period::Local { from: one.min(two), to: one.max(two) }),
    ]
}

/// An independent implementation: lists the periods of the day and compares them with the local time.
fn is_open_by_definition(now: Timestamp, calendar: &Calendar) -> bool {
    let clock = calendar.zone.to_datetime(now);
    let covers = |when: &Period| match when {
        Period::Exact { from, to } => (*from..*to).contains(&now),
        Period::Local { from, to } => (*from..*to).contains(&clock),
        Period::Weekly { days, from, to } => [clock.date(), clock.date() - 1.day()].into_iter().any(|day| {
            let end = if to > from { day } else { day + 1.day() };
            days[period::index(day.weekday())]
                && (day.to_datetime(*from)..end.to_datetime(*to)).contains(&clock)
        }),
    };
    let windows = calendar.windows.is_empty() || calendar.windows.iter().any(covers);
    windows && !calendar.blackouts.iter().any(|blackout| covers(&blackout.when))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Compares with a check of every minute over a week with a clock change.
    #[test]
    fn calendar_matches_a_check_of_every_minute(
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
        let status = status_at(start, &calendar);
        prop_assert_eq!(status.open, is_open_by_definition(start, &calendar));
        let change = (1..4 * 24 * 60)
            .map(|minute| start + SignedDuration::from_mins(minute))
            .find(|moment| is_open_by_definition(*moment, &calendar) != status.open);
        let horizon = start + SignedDuration::from_mins(4 * 24 * 60);
        match change {
            Some(change) => prop_assert_eq!(status.changes_at, Some(change)),
            None => prop_assert!(status.changes_at.is_none_or(|at| at >= horizon)),
        }
    }
}
