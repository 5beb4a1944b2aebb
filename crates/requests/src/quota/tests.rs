use proptest::prelude::*;

use super::*;
use crate::sample::at;

fn place(sequence: u64, second: i64) -> Place {
    Place {
        sequence,
        stored_at: at(second),
    }
}

fn retry(judged: &Result<Option<u64>, Refusal>) -> Option<Timestamp> {
    let refusal = judged.as_ref().err()?;
    assert_eq!(refusal.code, RefusalCode::Quota);
    refusal.retry_at
}

const HOURLY: Quota = Quota {
    rows_a_day: None,
    requests_an_hour: Some(2),
    open_requests: None,
};

#[test]
fn requests_an_hour_say_when_the_oldest_leaves_it() {
    let mut history = History::default();
    let judge =
        |history: &History, sequence, second| HOURLY.judge(history, place(sequence, second), at(second));
    history.filed(place(1, 0));
    assert_eq!(judge(&history, 2, 10), Ok(None));
    history.filed(place(2, 10));
    assert_eq!(retry(&judge(&history, 3, 20)), Some(at(3_600)));
    assert_eq!(judge(&history, 3, 3_600), Ok(None));
    // Looked at a day later, after the bureau was away: still judged as of when it was stored.
    assert!(HOURLY.judge(&history, place(3, 20), at(90_000)).is_err());
    // Later ones do not push out one that passed.
    history.filed(place(4, 11));
    assert_eq!(judge(&history, 2, 10), Ok(None));
    // A limit of none lets none in, and still tells a time.
    let none = Quota {
        requests_an_hour: Some(0),
        ..HOURLY
    };
    assert!(retry(&none.judge(&history, place(9, 0), at(0))).is_some());
}

#[test]
fn those_refused_for_a_quota_take_no_place() {
    let mut history = History::default();
    history.filed(place(1, 0));
    history.filed(place(2, 1));
    history.closed(place(2, 1), at(2), 0, false);
    assert_eq!(HOURLY.judge(&history, place(3, 3), at(3)), Ok(None));
    // Told again, and in the other order, as after a restart: the same.
    let mut again = History::default();
    again.closed(place(2, 1), at(2), 0, false);
    again.filed(place(2, 1));
    again.filed(place(1, 0));
    again.filed(place(1, 0));
    assert_eq!(again, history);
}

#[test]
fn open_requests_are_those_before_it_without_an_outcome() {
    let quota = Quota {
        open_requests: Some(2),
        ..Quota::default()
    };
    let mut history = History::default();
    (1..=3).for_each(|sequence| history.filed(place(sequence, 0)));
    assert_eq!(quota.judge(&history, place(2, 0), at(0)), Ok(None));
    assert_eq!(retry(&quota.judge(&history, place(3, 0), at(5))), Some(at(65)));
    history.closed(place(1, 0), at(1), 0, true);
    assert_eq!(quota.judge(&history, place(3, 0), at(5)), Ok(None));
    assert_eq!(history.open(), 2);
}

#[test]
fn rows_a_day_leave_with_the_minute_they_came_in() {
    let quota = Quota {
        rows_a_day: Some(100),
        ..Quota::default()
    };
    let mut history = History::default();
    for (sequence, second, rows) in [(1, 0, 60), (2, 3_600, 30)] {
        history.filed(place(sequence, second));
        history.closed(place(sequence, second), at(second), rows, true);
    }
    let judge = |history: &History, second| quota.judge(history, place(9, second), at(second));
    assert_eq!(judge(&history, 3_700), Ok(Some(10)));
    history.closed(place(3, 3_700), at(3_700), 10, true);
    let day = 86_400;
    assert_eq!(retry(&judge(&history, 3_800)), Some(at(day + 60)));
    assert_eq!(judge(&history, day + 60), Ok(Some(60)));
    history.forget(at(day + 60));
    assert_eq!(judge(&history, day + 60), Ok(Some(60)));
    history.forget(at(3 * day));
    assert_eq!(judge(&history, 3 * day), Ok(Some(100)));
}

proptest! {
    /// The time that a refusal names is honest: asked again then, with nothing else asked, it passes;
    /// and a moment before it does not.
    #[test]
    fn at_the_time_named_the_same_request_passes(
        filings in prop::collection::vec((0_i64..20_000, 0_u64..50), 1..30),
        requests_an_hour in 1_u32..5,
        rows_a_day in 1_u64..200,
        now in 0_i64..20_000,
    ) {
        let mut filings: Vec<(i64, u64)> = filings.into_iter().filter(|(second, _)| *second <= now).collect();
        filings.sort_unstable();
        let mut history = History::default();
        for (sequence, (second, rows)) in (1..).zip(&filings) {
            history.closed(place(sequence, *second), at(*second), *rows, true);
        }
        let quota = Quota { rows_a_day: Some(rows_a_day), requests_an_hour: Some(requests_an_hour), open_requests: Some(9) };
        let judge = |moment: Timestamp| {
            quota.judge(&history, Place { sequence: 1_000, stored_at: moment }, moment)
        };
        let mut moment = at(now);
        // At most one refusal by each of the two limits.
        for _ in 0..2 {
            if let Some(retry) = retry(&judge(moment)) {
                prop_assert!(retry > moment);
                let before = retry - SECOND;
                prop_assert!(before < moment || judge(before).is_err());
                moment = retry;
            }
        }
        prop_assert!(judge(moment).is_ok());
        let mut lean = history.clone();
        lean.forget(at(now));
        let of = |history: &History| quota.judge(history, place(1_000, now), at(now));
        prop_assert_eq!(of(&lean), of(&history));
    }
}

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);
