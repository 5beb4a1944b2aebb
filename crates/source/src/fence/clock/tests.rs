//! Clocks that step, in single cases and over many histories.

use super::*;

const MARGIN: Duration = Duration::from_secs(2);

fn at(second: f64) -> Timestamp {
    Timestamp::UNIX_EPOCH + Duration::from_secs_f64(1_000_000.0 + second)
}

/// A look that took no time: the source's clock, the agent's, both as seconds; what was read last.
fn look(source: f64, agent: f64, position: Option<f64>) -> ClockLook {
    ClockLook {
        source: at(source),
        agent: at(agent),
        steady: (Duration::from_secs_f64(agent), Duration::from_secs_f64(agent)),
        position: position.map(at),
        read_at: position.map(|_| at(agent)),
    }
}

fn take(clock: &mut SourceClock, look: ClockLook) -> ClockReading {
    clock.take(&look, Some(minus(look.source, MARGIN)))
}

#[test]
fn clock_that_goes_forward_leaves_the_fence_as_it_is() {
    let mut clock = SourceClock::new(MARGIN);
    for second in 0..100 {
        let now = f64::from(second);
        let reading = take(&mut clock, look(now, now, Some(now - 3.5)));
        assert_eq!(reading.below, Some(at(now - 2.0)));
        assert_eq!((reading.trouble, reading.again), (None, None));
    }
}

#[test]
fn clock_set_back_stops_the_feed_until_it_has_passed() {
    let mut clock = SourceClock::new(MARGIN);
    take(&mut clock, look(100.0, 100.0, Some(97.0)));
    let reading = take(&mut clock, look(81.0, 101.0, Some(97.5)));
    let by = Duration::from_secs(17);
    assert_eq!(reading.trouble, Some(ClockTrouble::Behind { by }));
    assert_eq!(reading.below, None);
    // The lowest that the clock can have shown since the look before, less the margin.
    assert_eq!(reading.again, Some(at(78.0)));
    // The position was taken back; the fence is not passed yet.
    let reading = take(&mut clock, look(90.0, 110.0, Some(77.9)));
    assert_eq!((reading.below, reading.again), (None, None));
    let reading = take(&mut clock, look(99.0, 119.0, Some(77.9)));
    assert_eq!((reading.below, reading.trouble), (Some(at(97.0)), None));
}

/// The look after the step comes so late that the clock has passed the fence again.
#[test]
fn clock_set_back_between_looks_takes_positions_back() {
    let mut clock = SourceClock::new(MARGIN);
    take(&mut clock, look(100.0, 100.0, Some(97.0)));
    let reading = take(&mut clock, look(130.0, 150.0, Some(97.5)));
    assert_eq!(reading.trouble, None);
    assert_eq!((reading.below, reading.again), (None, Some(at(78.0))));
    let reading = take(&mut clock, look(131.0, 151.0, Some(77.9)));
    assert_eq!((reading.below, reading.again), (Some(at(129.0)), None));
}

/// The rest of a look may fail, and then nobody took anything back.
#[test]
fn clock_set_back_is_told_until_positions_are_taken_back() {
    let mut clock = SourceClock::new(MARGIN);
    take(&mut clock, look(100.0, 100.0, Some(97.0)));
    take(&mut clock, look(130.0, 150.0, Some(97.5)));
    let reading = take(&mut clock, look(131.0, 151.0, Some(97.5)));
    assert_eq!((reading.below, reading.again), (None, Some(at(78.0))));
    let reading = take(&mut clock, look(132.0, 152.0, Some(77.9)));
    assert_eq!((reading.below, reading.again), (Some(at(130.0)), None));
    let reading = take(&mut clock, look(133.0, 153.0, Some(129.0)));
    assert_eq!(reading.again, None);
}

#[test]
fn clock_set_back_by_less_than_the_margin_harms_nothing() {
    let mut clock = SourceClock::new(MARGIN);
    take(&mut clock, look(100.0, 100.0, Some(97.9)));
    let reading = take(&mut clock, look(99.5, 101.0, Some(97.9)));
    assert_eq!((reading.trouble, reading.again), (None, None));
    assert_eq!(reading.below, Some(at(97.5)));
}

/// An hour ahead for four seconds, then right again.
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
        // A row of this moment, below what was read: it would never be found.
        if source <= position {
            lost.push(now);
        }
        let reading = take(&mut clock, look(source, now, Some(position)));
        if source > now + 5.0 {
            assert_eq!(reading.below, Some(at(now + 2.0)));
            assert!(matches!(reading.trouble, Some(ClockTrouble::Ahead { .. })));
        }
        if let Some(again) = reading.again {
            position = (again.duration_since(at(0.0))).as_secs_f64() - 0.001;
        }
        // Rows are read up to the fence, those of the wrong hour stay above it.
        if let Some(below) = reading.below {
            let below = below.duration_since(at(0.0)).as_secs_f64();
            position = position.max(below.min(now) - 0.001);
        }
    }
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn clock_below_the_position_at_start_takes_it_back_behind_the_pause() {
    let mut clock = SourceClock::new(MARGIN);
    let first = ClockLook {
        read_at: Some(at(100.0)),
        ..look(80.0, 160.0, Some(97.0))
    };
    let reading = take(&mut clock, first);
    assert!(matches!(reading.trouble, Some(ClockTrouble::Behind { .. })));
    // The source's clock less the minute since the chunk was read, a quarter of an hour and the margin.
    assert_eq!(reading.again, Some(at(80.0 - 60.0 - 900.0 - 2.0)));
    let reading = take(&mut SourceClock::new(MARGIN), look(160.0, 160.0, Some(97.0)));
    assert_eq!((reading.below, reading.again), (Some(at(158.0)), None));
}

/// A source whose clock steps at random, a reader that follows it: every row is read once at least.
#[test]
fn clock_histories_lose_no_row() {
    for seed in 1..400_u64 {
        history(seed, true);
    }
    // Without the clock's judgement rows are lost, so that the histories try something.
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
        // Two steps between two looks are not told from none; a step then comes after a look.
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
        let look = ClockLook {
            source,
            agent,
            steady: (millis(now), millis(now)),
            position,
            read_at: Some(agent),
        };
        let below = Some(minus(source, MARGIN));
        let reading = if is_judged {
            clock.take(&look, below)
        } else {
            ClockReading {
                below,
                ..ClockReading::default()
            }
        };
        if let Some(again) = reading.again {
            // A value below that of every row from then on.
            let before = minus(again, Duration::from_micros(1));
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
    // What is within the last fence.
    let settled = begin + millis(390_000);
    let lost = (0..written.len()).filter(|row| !read.contains(row) && written[*row] < settled);
    let lost = lost.count();
    assert!(!is_judged || lost == 0, "seed {seed}: {lost} rows");
    lost
}
