//! Clocks that step, in single cases and over many random histories.

use super::*;

const MARGIN: Duration = Duration::from_secs(2);

fn at(second: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + second)
}

/// A sample that took no time: the source's clock, the agent's, both as seconds; the position.
fn sample(source: f64, agent: f64, position: Option<f64>) -> ClockSample {
    ClockSample {
        source: at(source),
        agent: at(agent),
        steady: (Duration::from_secs_f64(agent), Duration::from_secs_f64(agent)),
        position: position.map(at),
        read_at: position.map(|_| at(agent)),
    }
}

fn observe(clock: &mut SourceClock, sample: ClockSample) -> ClockReading {
    clock.observe(&sample, Some(minus(sample.source, MARGIN)))
}

#[test]
fn clock_that_goes_forward_keeps_the_fence() {
    let mut clock = SourceClock::new(MARGIN);
    for second in 0..100 {
        let now = f64::from(second);
        let reading = observe(&mut clock, sample(now, now, Some(now - 3.5)));
        assert_eq!(reading.below, Some(at(now - 2.0)));
        assert_eq!((reading.problem, reading.reread_from), (None, None));
    }
}

#[test]
fn clock_set_back_stops_the_feed_until_it_catches_up() {
    let mut clock = SourceClock::new(MARGIN);
    observe(&mut clock, sample(100.0, 100.0, Some(97.0)));
    let reading = observe(&mut clock, sample(81.0, 101.0, Some(97.5)));
    let by = Duration::from_secs(17);
    assert_eq!(reading.problem, Some(ClockProblem::Behind { by }));
    assert_eq!(reading.below, None);
    // The lowest time that the clock can have shown since the sample before, less the margin.
    assert_eq!(reading.reread_from, Some(at(78.0)));
    // The position moved back; the fence is not passed yet.
    let reading = observe(&mut clock, sample(90.0, 110.0, Some(77.9)));
    assert_eq!((reading.below, reading.reread_from), (None, None));
    let reading = observe(&mut clock, sample(99.0, 119.0, Some(77.9)));
    assert_eq!((reading.below, reading.problem), (Some(at(97.0)), None));
}

/// The sample after the step is so late that the clock has passed the fence again.
#[test]
fn clock_set_back_between_samples_moves_positions_back() {
    let mut clock = SourceClock::new(MARGIN);
    observe(&mut clock, sample(100.0, 100.0, Some(97.0)));
    let reading = observe(&mut clock, sample(130.0, 150.0, Some(97.5)));
    assert_eq!(reading.problem, None);
    assert_eq!((reading.below, reading.reread_from), (None, Some(at(78.0))));
    let reading = observe(&mut clock, sample(131.0, 151.0, Some(77.9)));
    assert_eq!((reading.below, reading.reread_from), (Some(at(129.0)), None));
}

/// A later step of the reading may fail, and then no position moved back.
#[test]
fn clock_set_back_is_reported_until_positions_moved() {
    let mut clock = SourceClock::new(MARGIN);
    observe(&mut clock, sample(100.0, 100.0, Some(97.0)));
    observe(&mut clock, sample(130.0, 150.0, Some(97.5)));
    let reading = observe(&mut clock, sample(131.0, 151.0, Some(97.5)));
    assert_eq!((reading.below, reading.reread_from), (None, Some(at(78.0))));
    let reading = observe(&mut clock, sample(132.0, 152.0, Some(77.9)));
    assert_eq!((reading.below, reading.reread_from), (Some(at(130.0)), None));
    let reading = observe(&mut clock, sample(133.0, 153.0, Some(129.0)));
    assert_eq!(reading.reread_from, None);
}

#[test]
fn clock_set_back_within_the_margin_is_harmless() {
    let mut clock = SourceClock::new(MARGIN);
    observe(&mut clock, sample(100.0, 100.0, Some(97.9)));
    let reading = observe(&mut clock, sample(99.5, 101.0, Some(97.9)));
    assert_eq!((reading.problem, reading.reread_from), (None, None));
    assert_eq!(reading.below, Some(at(97.5)));
}

/// The clock is an hour ahead for four seconds.
#[test]
fn clock_ahead_for_seconds_skips_nothing() {
    let mut clock = SourceClock::new(MARGIN);
    let mut position = 0.0_f64;
    let mut lost = Vec::new();
    for tick in 0..200 {
        let now = 100.0 + f64::from(tick) / 2.0;
        let source = if (120.0..124.0).contains(&now) {
            now + 3_600.0
        } else {
            now
        };
        // A row of this moment, below the position, is never found.
        if source <= position {
            lost.push(now);
        }
        let reading = observe(&mut clock, sample(source, now, Some(position)));
        if source > now + 5.0 {
            assert_eq!(reading.below, Some(at(now + 2.0)));
            assert!(matches!(reading.problem, Some(ClockProblem::Ahead { .. })));
        }
        if let Some(reread_from) = reading.reread_from {
            position = (reread_from.duration_since(at(0.0))).as_secs_f64() - 0.001;
        }
        // Rows are read up to the fence; rows of the wrong hour stay above it.
        if let Some(below) = reading.below {
            let below = below.duration_since(at(0.0)).as_secs_f64();
            position = position.max(below.min(now) - 0.001);
        }
    }
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn clock_below_the_position_at_start_moves_it_back() {
    let mut clock = SourceClock::new(MARGIN);
    let first = ClockSample {
        read_at: Some(at(100.0)),
        ..sample(80.0, 160.0, Some(97.0))
    };
    let reading = observe(&mut clock, first);
    assert!(matches!(reading.problem, Some(ClockProblem::Behind { .. })));
    // The source's clock less the minute since the chunk was read, 15 minutes and the margin.
    assert_eq!(reading.reread_from, Some(at(80.0 - 60.0 - 900.0 - 2.0)));
    let reading = observe(&mut SourceClock::new(MARGIN), sample(160.0, 160.0, Some(97.0)));
    assert_eq!((reading.below, reading.reread_from), (Some(at(158.0)), None));
}

/// The source's clock steps at random. A reader that follows it reads every row at least once.
#[test]
fn clock_histories_lose_no_row() {
    for seed in 1..400_u64 {
        history(seed, true);
    }
    // Without the clock check rows are lost, which proves that the histories contain steps.
    assert!((1..400).any(|seed| history(seed, false) > 0));
}

/// Returns how many rows were lost.
fn history(seed: u64, is_judged: bool) -> usize {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |most: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    let millis = |time: u64| Duration::from_millis(time);
    let begin = Timestamp::UNIX_EPOCH + Duration::from_secs(2_000_000);
    let mut clock = SourceClock::new(MARGIN);
    let (mut offset, mut now, mut looked) = (0_i64, 0_u64, 0_u64);
    let (mut written, mut read) = (Vec::<Timestamp>::new(), std::collections::BTreeSet::new());
    let mut position: Option<Timestamp> = None;
    let mut wait = 0;
    while now < 400_000 {
        now += 100;
        // Two steps between two samples cannot be detected, so a step only follows a sample.
        if next(300) == 0 && looked == now - 100 && now < 200_000 {
            offset = i64::try_from(next(120_000)).unwrap() - 60_000;
        }
        if now > 200_000 {
            offset = 0;
        }
        let agent = begin + millis(now);
        let source = agent + SignedDuration::from_millis(offset);
        written.push(source);
        if wait > 0 {
            wait -= 1;
            continue;
        }
        wait = next(30);
        looked = now;
        let sample = ClockSample {
            source,
            agent,
            steady: (millis(now), millis(now)),
            position,
            read_at: Some(agent),
        };
        let below = Some(minus(source, MARGIN));
        let reading = if is_judged {
            clock.observe(&sample, below)
        } else {
            ClockReading {
                below,
                ..ClockReading::default()
            }
        };
        if let Some(reread_from) = reading.reread_from {
            // A value below that of every row from then on.
            let before = minus(reread_from, Duration::from_micros(1));
            position = position.map(|position| position.min(before));
        }
        let Some(below) = reading.below else { continue };
        let within: Vec<(usize, Timestamp)> = written
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, at)| *at < below && position.is_none_or(|position| *at > position))
            .collect();
        for (row, at) in within {
            read.insert(row);
            position = position.max(Some(at));
        }
    }
    // Rows within the last fence.
    let settled = begin + millis(390_000);
    let lost = (0..written.len()).filter(|row| !read.contains(row) && written[*row] < settled);
    let lost = lost.count();
    assert!(!is_judged || lost == 0, "seed {seed}: {lost} rows");
    lost
}
