//! Recordings are read back as written, also from damaged files.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use gate::Observation;
use gate::clock::Moment;
use gate::sample::{Reading, Sample};
use gate::verdict::{Reason, Verdict};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn observation(at_ms: u64, value: Option<f64>, is_open: bool) -> Observation {
    let at = Moment {
        mono: Duration::ZERO,
        wall: Timestamp::UNIX_EPOCH,
    }
    .later(Duration::from_millis(at_ms));
    let reading = value.map_or(Reading::Failed("gone".into()), Reading::Value);
    let verdict = if is_open {
        Verdict::open(Reason::Idle, at, None)
    } else {
        Verdict::closed(Reason::NoSample, at, None)
    };
    let readings = [
        ("host_cpu".into(), reading),
        ("stop_file".into(), Reading::Value(0.0)),
    ];
    Observation {
        sample: Sample {
            at,
            readings: readings.into(),
        },
        verdict,
    }
}

fn filled(steps: &[(u64, Option<f64>, bool)]) -> Block {
    let mut block = Block::new(7);
    let (mut at, mut moved) = (0, 0);
    for (step, value, is_open) in steps {
        at += step;
        moved += step;
        block.push(&observation(at, *value, *is_open), moved);
    }
    block
}

fn any_steps() -> impl Strategy<Value = Vec<(u64, Option<f64>, bool)>> {
    let value = prop_oneof![
        8 => (0.0..100.0_f64).prop_map(Some),
        1 => Just(Some(f64::NAN)),
        1 => Just(Some(f64::MAX)),
        1 => Just(None),
    ];
    prop::collection::vec((0_u64..100_000, value, any::<bool>()), 1..100)
}

proptest! {
    #[test]
    fn block_is_decoded_as_encoded(steps in any_steps()) {
        let block = filled(&steps);
        prop_assert_eq!(block.encode().and_then(|bytes| Block::decode(&bytes)), Ok(block));
    }

    #[test]
    fn file_torn_or_corrupt_loses_only_the_damaged_block(
        steps in any_steps(), cut in 0_usize..1_000, at in 0_usize..1_000, flip in 1_u8..,
    ) {
        let block = filled(&steps);
        let framed = frame::frame(&block.encode().unwrap_or_default());
        let place = |thousandths: usize| framed.len() * thousandths / 1_000;
        // A torn block between two valid ones.
        let torn = [&framed, &framed[..place(cut)], &framed].concat();
        prop_assert_eq!(frame::find(&torn).blocks, vec![block.clone(), block.clone()]);
        let mut spoilt = [framed.clone(), framed.clone()].concat();
        spoilt[place(at)] ^= flip;
        let found = frame::find(&spoilt);
        prop_assert_eq!(found.blocks, vec![block]);
        prop_assert_eq!(found.skipped, framed.len() as u64);
    }

    #[test]
    fn decoding_any_bytes_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = frame::find(&bytes);
        let _ = Block::decode(&bytes);
        // Compressed random bytes too.
        if let Ok(packed) = zstd::bulk::compress(&bytes, 1) {
            let _ = frame::find(&frame::frame(&packed));
        }
    }
}

#[test]
fn archive_has_one_file_per_day_and_deletes_expired_days() -> Outcome {
    let folder = tempfile::tempdir()?;
    let archive = SampleArchive::new(folder.path(), Duration::from_secs(86_400));
    for day in 0..4_u64 {
        let mut block = Block::new(1);
        block.push(&observation(day * 86_400_000, Some(1.0), true), 0);
        archive.append(&block)?;
        archive.append(&block)?;
    }
    std::fs::write(folder.path().join("notes.txt"), "not ours")?;
    let before = read(folder.path())?;
    assert_eq!((before.files, before.samples(), before.skipped), (4, 8, 0));
    let deleted = archive.delete_expired(Timestamp::UNIX_EPOCH + Duration::from_secs(3 * 86_400))?;
    assert_eq!(deleted, 2);
    assert_eq!(read(folder.path())?.files, 2);
    assert!(folder.path().join("notes.txt").exists());
    Ok(())
}

fn fake_gate() -> (gate::Gate, gate::Script) {
    gate::Gate::scripted()
}

/// A folder that cannot be written stops nothing else; lost samples are counted in the next block.
#[tokio::test]
async fn recorder_unwritable_folder_only_pauses_recording() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("samples");
    std::fs::write(&path, "in the way")?;
    let (gate, _script) = fake_gate();
    let mut recorder = recorder::Recorder::new(&gate, SampleArchive::new(&path, Duration::from_secs(60)));
    recorder.add(&observation(0, Some(1.0), true), 5).await;
    recorder.flush().await;
    std::fs::remove_file(&path)?;
    recorder.add(&observation(100, Some(1.0), true), 9).await;
    recorder.flush().await;
    let records = read(&path)?;
    assert_eq!(records.samples(), 1);
    assert_eq!(records.blocks[0].lost, 1);
    assert_eq!(records.blocks[0].rows[0].moved, 9);
    Ok(())
}

/// A minute is a block, and a change of the signals starts another.
#[tokio::test]
async fn recorder_blocks_end_with_the_minute_and_the_signals() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (gate, _script) = fake_gate();
    let mut recorder =
        recorder::Recorder::new(&gate, SampleArchive::new(folder.path(), Duration::from_secs(60)));
    for at in 0..1_000_u64 {
        recorder.add(&observation(at * 100, Some(1.0), true), at).await;
    }
    let mut other = observation(100_000, Some(1.0), true);
    other.sample.readings.remove(&Arc::<str>::from("stop_file"));
    recorder.add(&other, 1_000).await;
    recorder.flush().await;
    let lengths: Vec<_> = read(folder.path())?
        .blocks
        .iter()
        .map(|block| block.rows.len())
        .collect();
    assert_eq!(lengths, [600, 400, 1]);
    Ok(())
}
