use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A gate whose counters advance with the clock.
struct Clock {
    history: History,
    now: Timestamp,
    reading: GateReading,
}

impl Clock {
    fn start(now: &str) -> Self {
        let mut clock = Self {
            history: History::default(),
            now: at(now),
            reading: GateReading::default(),
        };
        clock.history.record(clock.reading, clock.now);
        clock
    }

    /// Runs for some seconds, with a reading each second.
    fn run(&mut self, seconds: u32, is_open: bool, is_limited: bool) {
        for _ in 0..seconds {
            self.now += SignedDuration::from_secs(1);
            let sum = if is_open {
                &mut self.reading.open_ms
            } else {
                &mut self.reading.closed_ms
            };
            *sum += 1_000;
            self.reading.rows += u64::from(is_open);
            self.reading.is_limited = is_limited;
            self.history.record(self.reading, self.now);
        }
    }

    fn times(&self) -> Vec<(String, u32, u32, u32, u64)> {
        let text = |bucket: HistoryBucket| {
            let start = bucket.start.to_string();
            (
                start[11..16].to_owned(),
                bucket.open_ms,
                bucket.limited_ms,
                bucket.closed_ms,
                bucket.rows,
            )
        };
        self.history.buckets().into_iter().map(text).collect()
    }
}

#[test]
fn history_times_go_to_their_bucket() {
    let mut clock = Clock::start("2026-01-31T22:00:00Z");
    clock.run(200, true, false);
    clock.run(60, true, true);
    clock.run(40, false, false);
    clock.run(10, false, false);
    assert_eq!(
        clock.times(),
        [
            ("22:00".into(), 200_000, 60_000, 40_000, 260),
            ("22:05".into(), 0, 0, 10_000, 0)
        ]
    );
}

#[test]
fn history_reading_across_two_buckets_is_split() {
    let mut clock = Clock::start("2026-01-31T22:04:58.500Z");
    clock.run(3, true, false);
    let times: Vec<u32> = clock.times().iter().map(|bucket| bucket.1).collect();
    assert_eq!(times, [1_500, 1_500]);
}

#[test]
fn history_time_without_readings_is_missing() {
    let mut clock = Clock::start("2026-01-31T22:00:00Z");
    clock.run(100, true, false);
    // Suspended: the gate's own counters went on.
    clock.now += SignedDuration::from_secs(620);
    clock.reading.open_ms += 620_000;
    clock.reading.rows += 7;
    clock.history.record(clock.reading, clock.now);
    clock.run(60, false, false);
    assert_eq!(
        clock.times(),
        [
            ("22:00".into(), 100_000, 0, 0, 100),
            ("22:10".into(), 0, 0, 60_000, 7)
        ]
    );
}

#[test]
fn history_clock_set_back_changes_no_earlier_bucket() {
    let mut clock = Clock::start("2026-01-31T22:05:00Z");
    clock.run(10, true, false);
    clock.now -= SignedDuration::from_secs(300);
    clock.run(310, true, false);
    let times: Vec<(String, u32)> = clock
        .times()
        .into_iter()
        .map(|bucket| (bucket.0, bucket.1))
        .collect();
    assert_eq!(times, [("22:05".to_owned(), 30_000)]);
}

/// A clock that runs slow must not make a bucket longer than it is.
#[test]
fn history_bucket_is_never_longer_than_five_minutes() {
    let mut clock = Clock::start("2026-01-31T22:00:00Z");
    for _ in 0..599 {
        clock.now += SignedDuration::from_millis(500);
        clock.reading.closed_ms += 1_000;
        clock.history.record(clock.reading, clock.now);
    }
    assert_eq!(clock.times(), [("22:00".into(), 0, 0, 300_000, 0)]);
}

#[test]
fn history_is_bounded_to_a_day() {
    let mut clock = Clock::start("2026-01-30T10:00:00Z");
    for _ in 0..(30 * 3_600 / 10) {
        clock.now += SignedDuration::from_secs(10);
        clock.reading.open_ms += 10_000;
        clock.history.record(clock.reading, clock.now);
    }
    let buckets = clock.history.buckets();
    assert_eq!(buckets.len(), MAX_BUCKETS);
    assert!(buckets.is_sorted_by_key(|bucket| bucket.start));
    assert_eq!(buckets.last().unwrap().start, at("2026-01-31T16:00:00Z"));
    assert_eq!(buckets[0].start, at("2026-01-30T16:00:00Z"));
}

#[test]
fn history_load_is_the_highest_of_its_bucket() {
    let mut history = History::default();
    let mut now = at("2026-01-31T22:00:00Z");
    for load_permille in [Some(200), Some(700), None, Some(300)] {
        let reading = GateReading {
            load_permille,
            ..GateReading::default()
        };
        history.record(reading, now);
        now += SignedDuration::from_secs(1);
    }
    assert_eq!(history.buckets()[0].load_permille, Some(700));
}

#[test]
fn history_of_an_earlier_process_is_continued() {
    let mut before = Clock::start("2026-01-31T22:00:00Z");
    before.run(400, true, false);
    // The next process has its own counters, and has recorded before it reads what was published.
    let mut after = Clock::start("2026-01-31T22:07:00Z");
    after.run(20, false, false);
    after.history.restore(before.history.buckets(), after.now);
    after.run(10, false, false);
    assert_eq!(
        after.times(),
        [
            ("22:00".into(), 300_000, 0, 0, 299),
            ("22:05".into(), 100_000, 0, 30_000, 101)
        ]
    );
}

#[test]
fn history_refuses_invalid_buckets_of_an_earlier_process() {
    let bucket = |start: &str, open_ms| HistoryBucket {
        start: at(start),
        open_ms,
        limited_ms: 0,
        closed_ms: 0,
        rows: 0,
        load_permille: None,
    };
    let mut history = History::default();
    let earlier = vec![
        bucket("2026-01-29T22:00:00Z", 1),
        bucket("2026-01-31T21:00:01Z", 1),
        bucket("2026-01-31T21:05:00Z", 300_001),
        bucket("2026-01-31T21:10:00Z", 2),
        bucket("2026-01-31T21:10:00Z", 3),
        bucket("2026-02-01T21:00:00Z", 4),
    ];
    history.restore(earlier, at("2026-01-31T22:00:00Z"));
    let kept: Vec<u32> = history.buckets().iter().map(|bucket| bucket.open_ms).collect();
    assert_eq!(kept, [2]);
}
