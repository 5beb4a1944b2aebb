use proptest::prelude::*;

use super::*;
use crate::sample::at;

fn place(sequence: u64, second: i64) -> StreamPosition {
    StreamPosition {
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
fn quota_hourly_refusal_names_the_retry_time() {
    let mut history = History::default();
    let evaluate =
        |history: &History, sequence, second| HOURLY.evaluate(history, place(sequence, second), at(second));
    history.add_request(place(1, 0));
    assert_eq!(evaluate(&history, 2, 10), Ok(None));
    history.add_request(place(2, 10));
    assert_eq!(retry(&evaluate(&history, 3, 20)), Some(at(3_600)));
    assert_eq!(evaluate(&history, 3, 3_600), Ok(None));
    // Evaluated a day later, after an outage of the bureau: still as of when it was stored.
    assert!(HOURLY.evaluate(&history, place(3, 20), at(90_000)).is_err());
    // Later requests do not displace one that passed.
    history.add_request(place(4, 11));
    assert_eq!(evaluate(&history, 2, 10), Ok(None));
    // A limit of zero admits none, and still has a time to retry.
    let none = Quota {
        requests_an_hour: Some(0),
        ..HOURLY
    };
    assert!(retry(&none.evaluate(&history, place(9, 0), at(0))).is_some());
}

#[test]
fn quota_refused_requests_do_not_count() {
    let mut history = History::default();
    history.add_request(place(1, 0));
    history.add_request(place(2, 1));
    history.add_outcome(place(2, 1), at(2), 0, false);
    assert_eq!(HOURLY.evaluate(&history, place(3, 3), at(3)), Ok(None));
    // Added again in another order, as after a restart: the same.
    let mut again = History::default();
    again.add_outcome(place(2, 1), at(2), 0, false);
    again.add_request(place(2, 1));
    again.add_request(place(1, 0));
    again.add_request(place(1, 0));
    assert_eq!(again, history);
}

#[test]
fn quota_open_requests_count_earlier_ones() {
    let quota = Quota {
        open_requests: Some(2),
        ..Quota::default()
    };
    let mut history = History::default();
    (1..=3).for_each(|sequence| history.add_request(place(sequence, 0)));
    assert_eq!(quota.evaluate(&history, place(2, 0), at(0)), Ok(None));
    assert_eq!(retry(&quota.evaluate(&history, place(3, 0), at(5))), Some(at(65)));
    history.add_outcome(place(1, 0), at(1), 0, true);
    assert_eq!(quota.evaluate(&history, place(3, 0), at(5)), Ok(None));
    assert_eq!(history.open(), 2);
}

#[test]
fn quota_rows_expire_by_the_minute() {
    let quota = Quota {
        rows_a_day: Some(100),
        ..Quota::default()
    };
    let mut history = History::default();
    for (sequence, second, rows) in [(1, 0, 60), (2, 3_600, 30)] {
        history.add_request(place(sequence, second));
        history.add_outcome(place(sequence, second), at(second), rows, true);
    }
    let evaluate = |history: &History, second| quota.evaluate(history, place(9, second), at(second));
    assert_eq!(evaluate(&history, 3_700), Ok(Some(10)));
    history.add_outcome(place(3, 3_700), at(3_700), 10, true);
    let day = 86_400;
    assert_eq!(retry(&evaluate(&history, 3_800)), Some(at(day + 60)));
    assert_eq!(evaluate(&history, day + 60), Ok(Some(60)));
    history.prune(at(day + 60));
    assert_eq!(evaluate(&history, day + 60), Ok(Some(60)));
    history.prune(at(3 * day));
    assert_eq!(evaluate(&history, 3 * day), Ok(Some(100)));
}

proptest! {
    /// The retry time of a refusal is exact: the request passes then, if no other is filed, and not a moment earlier.
    #[test]
    fn quota_request_passes_at_the_retry_time(
        filings in prop::collection::vec((0_i64..20_000, 0_u64..50), 1..30),
        requests_an_hour in 1_u32..5,
        rows_a_day in 1_u64..200,
        now in 0_i64..20_000,
    ) {
        let mut filings: Vec<(i64, u64)> = filings.into_iter().filter(|(second, _)| *second <= now).collect();
        filings.sort_unstable();
        let mut history = History::default();
        for (sequence, (second, rows)) in (1..).zip(&filings) {
            history.add_outcome(place(sequence, *second), at(*second), *rows, true);
        }
        let quota = Quota { rows_a_day: Some(rows_a_day), requests_an_hour: Some(requests_an_hour), open_requests: Some(9) };
        let evaluate = |moment: Timestamp| {
            quota.evaluate(&history, StreamPosition { sequence: 1_000, stored_at: moment }, moment)
        };
        let mut moment = at(now);
        // At most one refusal by each of the two limits.
        for _ in 0..2 {
            if let Some(retry) = retry(&evaluate(moment)) {
                prop_assert!(retry > moment);
                let before = retry - SECOND;
                prop_assert!(before < moment || evaluate(before).is_err());
                moment = retry;
            }
        }
        prop_assert!(evaluate(moment).is_ok());
        let mut lean = history.clone();
        lean.prune(at(now));
        let left = |history: &History| quota.evaluate(history, place(1_000, now), at(now));
        prop_assert_eq!(left(&lean), left(&history));
    }
}

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);
