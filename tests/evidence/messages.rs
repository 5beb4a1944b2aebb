//! Manipulated messages in an export that is otherwise valid: its digests are, and the auditor signed it. So the exchange's operator
//! or the bureau manipulated the streams before. Each is found, and the report names stream and sequence.

use std::fs;

use exchange::Stored;
use harness::workspace;
use jiff::Timestamp;
use schemas::control::Control;
use schemas::envelope::Envelope;
use schemas::manifest::Manifest;
use schemas::part::Part;
use schemas::reply::{Outcome, Reply};
use verification::receipts::KEPT_FOR_EACH_LANE;
use verification::trust::KeyRule;
use verification::{Fault, FaultClass, Trust};

use super::forgery::{alter, forge, rewrite_history, sign_again};
use super::offline::{Messages, list, trust, verify_files};
use super::rich_site::{RichExport, rich_export};
use harness::rng::Rng;

/// Printed with a failure; another one in `SLACKTIDE_SEED` tries other manipulations.
const SEED: u64 = 20_260_201;

/// The number of manipulations.
const COUNT: usize = 120;

const KINDS: [&str; 19] = [
    "flip a bit of a chunk",
    "flip a bit of any message",
    "forge a signature",
    "keep a stale signature",
    "drop a chunk",
    "drop a message and leave a gap",
    "swap two chunks",
    "swap two messages",
    "double a chunk",
    "rewrite the history with the right key",
    "answer a request twice",
    "cut off the end of a lane",
    "move a chunk to another lane",
    "drop a request",
    "drop an audit entry",
    "replace a part with the right key",
    "drop a part",
    "use a key after its replacement",
    "claim an open gate under load with the right key",
];

/// The place that a fault must name.
#[derive(Debug)]
struct Place {
    subject: String,
    sequence: Option<u64>,
    class: Option<FaultClass>,
}

impl Place {
    fn of(message: &Stored) -> Self {
        Self {
            subject: message.subject.clone(),
            sequence: Some(message.sequence),
            class: None,
        }
    }

    fn subject(subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            sequence: None,
            class: None,
        }
    }

    fn is_named_by(&self, fault: &Fault) -> bool {
        fault.subject == self.subject
            && self.sequence.is_none_or(|sequence| fault.sequence == sequence)
            && self.class.is_none_or(|class| fault.class == class)
    }
}

/// Numbers the messages 1, 2, 3, … again.
fn renumber(messages: &mut [Stored]) {
    for (sequence, message) in (1..).zip(messages) {
        message.sequence = sequence;
    }
}

fn pick<'a, T>(list: &'a [T], rng: &mut Rng) -> &'a T {
    &list[rng.below(list.len())]
}

fn flip(message: &mut Stored, rng: &mut Rng) {
    let mut bytes = message.bytes.to_vec();
    let at = rng.below(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
    message.bytes = bytes.into();
}

/// Manipulates the messages, or the trust. Returns the places of which a fault must name one.
#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn manipulate(
    kind: &str,
    export: &RichExport,
    messages: &mut Messages,
    trust: &mut Trust,
    rng: &mut Rng,
) -> Vec<Place> {
    let insurer = *pick(&["insurer-a", "insurer-b"], rng);
    let lane = format!("data.{insurer}.claim");
    let receipts = Place::subject(&format!("receipt.{insurer}.claim"));
    let chunks = messages.of_stream(&format!("data.{insurer}"));
    let index = rng.below(chunks.len() - 1);
    match kind {
        "flip a bit of a chunk" => {
            flip(&mut chunks[index], rng);
            vec![Place::of(&chunks[index])]
        }
        "flip a bit of any message" | "forge a signature" | "keep a stale signature" => {
            let filled: Vec<usize> = (0..messages.streams.len())
                .filter(|stream| !messages.streams[*stream].1.is_empty())
                .collect();
            let of_stream = &mut messages.streams[*pick(&filled, rng)].1;
            let index = rng.below(of_stream.len());
            let message = &mut of_stream[index];
            match kind {
                "forge a signature" => message.bytes = forge(&message.bytes).into(),
                "keep a stale signature" => message.bytes = alter(&message.bytes).into(),
                _ => flip(message, rng),
            }
            vec![Place::of(message)]
        }
        "drop a chunk" => {
            let index = *pick(&covered(chunks), rng);
            chunks.remove(index);
            renumber(chunks);
            vec![Place::of(&chunks[index]), receipts]
        }
        "drop a message and leave a gap" => {
            let long: Vec<usize> = (0..messages.streams.len())
                .filter(|stream| {
                    let (id, of_stream) = &messages.streams[*stream];
                    of_stream.len() > 2 && id.stream != exchange::port::Stream::Progress
                })
                .collect();
            let of_stream = &mut messages.streams[*pick(&long, rng)].1;
            let index = 1 + rng.below(of_stream.len() - 2);
            of_stream.remove(index);
            vec![Place::of(&of_stream[index])]
        }
        "swap two chunks" => {
            let (left, right) = chunks.split_at_mut(index + 1);
            std::mem::swap(&mut left[index].bytes, &mut right[0].bytes);
            // An opening that continues from an earlier chunk is valid one place earlier, too: the other one is then the fault.
            vec![Place::of(&chunks[index]), Place::of(&chunks[index + 1])]
        }
        "swap two messages" => {
            chunks.swap(index, index + 1);
            vec![Place::of(&chunks[index + 1])]
        }
        "double a chunk" => {
            let copy = chunks[index].clone();
            chunks.insert(index + 1, copy);
            renumber(chunks);
            vec![Place::of(&chunks[index + 1])]
        }
        "rewrite the history with the right key" => {
            let from = *pick(&covered(chunks), rng);
            rewrite_history(chunks, &lane, from, &export.bureau);
            vec![Place {
                class: Some(FaultClass::Receipt),
                ..receipts
            }]
        }
        "answer a request twice" => {
            let replies = messages.of_stream(&format!("reply.{insurer}"));
            let mut second = pick(replies, rng).clone();
            let key = signer(export, &second);
            let bytes = sign_again::<Reply>(&second.bytes, key, |reply| reply.outcome = Outcome::Expired);
            second.bytes = bytes.into();
            second.sequence = replies.last().unwrap().sequence + 1;
            let place = Place::of(&second);
            replies.push(second);
            vec![place]
        }
        "cut off the end of a lane" => {
            let length = 1 + rng.below(chunks.len() - 1);
            chunks.truncate(length);
            vec![receipts]
        }
        "move a chunk to another lane" => {
            let other = if insurer == "insurer-a" {
                "insurer-b"
            } else {
                "insurer-a"
            };
            let moved = chunks[index].bytes.clone();
            let target = messages.of_stream(&format!("data.{other}"));
            let index = index.min(target.len() - 1);
            target[index].bytes = moved;
            vec![Place::of(&target[index])]
        }
        "drop a request" => {
            let requests = messages.of_stream(&format!("request.{insurer}"));
            let index = rng.below(requests.len());
            let removed = requests.remove(index);
            renumber(requests);
            vec![Place::subject(&removed.subject.replacen("request", "reply", 1))]
        }
        "drop an audit entry" => {
            let entries = messages.of_stream("audit.bureau");
            let followed: Vec<usize> = (0..entries.len())
                .filter(|index| {
                    entries[index + 1..]
                        .iter()
                        .any(|later| later.subject == entries[*index].subject)
                })
                .collect();
            let index = *pick(&followed, rng);
            let removed = entries.remove(index);
            renumber(entries);
            vec![Place::subject(&removed.subject)]
        }
        "replace a part with the right key" | "drop a part" => {
            let parts = messages.of_stream("part.insurer-a");
            let index = rng.below(parts.len());
            let id = parts[index].subject.split('.').nth(2).unwrap().to_owned();
            if kind == "drop a part" {
                parts.remove(index);
                renumber(parts);
            } else {
                let key = signer(export, &parts[index]);
                let bytes =
                    sign_again::<Part>(&parts[index].bytes, key, |part| part.content.instance.push('x'));
                parts[index].bytes = bytes.into();
            }
            vec![Place::subject(&format!("reply.insurer-a.{id}"))]
        }
        "use a key after its replacement" => {
            let old = &export.bureau[1];
            let signed_by_old: Vec<&Stored> = chunks
                .iter()
                .filter(|chunk| signer(export, chunk).public() == old.public())
                .collect();
            let first = *pick(&signed_by_old, rng);
            let is_replaced = rng.percent(50);
            let at: Option<Timestamp> = Some(first.stored_at);
            trust.rules.push(KeyRule {
                key: old.public().clone(),
                party: None,
                from: None,
                until: at.filter(|_| is_replaced),
                revoked: at.filter(|_| !is_replaced),
            });
            vec![Place::of(first)]
        }
        "claim an open gate under load with the right key" => {
            let last = chunks
                .iter()
                .rposition(|chunk| manifest(chunk).content.totals.rows > 0)
                .unwrap();
            let key = signer(export, &chunks[last]);
            let bytes = sign_again::<Manifest>(&chunks[last].bytes, key, |manifest| {
                for sample in &mut manifest.content.load.samples {
                    sample
                        .readings_milli
                        .values_mut()
                        .for_each(|reading| *reading = None);
                }
            });
            chunks[last].bytes = bytes.into();
            let mut place = Place::of(&chunks[last]);
            place.class = Some(FaultClass::Load);
            vec![place]
        }
        other => panic!("{other}"),
    }
}

fn manifest(chunk: &Stored) -> Manifest {
    Envelope::decode(&chunk.bytes).unwrap().read().unwrap()
}

/// Returns the chunks that a receipt covers, without the last one: a chunk that a later epoch replaced is in no receipt, and the
/// report counts it as not covered.
fn covered(chunks: &[Stored]) -> Vec<usize> {
    (0..chunks.len() - 1)
        .filter(|index| !is_replaced(chunks, &chunks[*index]))
        .collect()
}

/// Returns whether a later epoch continues at or before this chunk.
fn is_replaced(chunks: &[Stored], chunk: &Stored) -> bool {
    let position = manifest(chunk);
    chunks.iter().any(|later| {
        let continues = manifest(later).opening.and_then(|opening| opening.continues);
        continues.is_some_and(|link| link.epoch == position.epoch && link.number <= position.number)
    })
}

/// Returns the bureau's key that signed a message.
fn signer<'a>(export: &'a RichExport, message: &Stored) -> &'a schemas::sign::SigningKey {
    let text = String::from_utf8_lossy(&message.bytes).into_owned();
    let named = |key: &&schemas::sign::SigningKey| text.contains(key.public().as_str());
    export.bureau.iter().find(named).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_every_manipulation_of_a_message_is_found() {
    let export = rich_export().await;
    let messages = Messages::of(&export.files);
    let (mut rng, seed) = Rng::seeded(SEED);
    for round in 0..COUNT {
        let kind = KINDS[round % KINDS.len()];
        let (mut altered, mut judged) = (messages.clone(), trust(export));
        let places = manipulate(kind, export, &mut altered, &mut judged, &mut rng);
        let found = verify_files(&altered.write(&export.auditor), &judged);
        let faults = &found.findings.faults;
        let context = || {
            format!(
                "seed {seed}, round {round}: {kind} at {places:?}\n{}",
                list(faults)
            )
        };
        assert!(!faults.is_empty(), "not found: {}", context());
        let named = faults
            .iter()
            .find(|fault| places.iter().any(|place| place.is_named_by(fault)));
        let named = named.unwrap_or_else(|| panic!("not located: {}", context()));
        assert_eq!(named.file.is_some(), named.record.is_some(), "{}", context());
    }
}

/// The stream of receipts drops the oldest receipt of a lane that has as many as it keeps, also between others.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_receipts_dropped_by_the_limit_are_no_fault() {
    let shipped = fs::read_to_string(workspace().join("nats/streams/receipts.toml")).unwrap();
    let shipped: toml::Table = shipped.parse().unwrap();
    let kept = usize::try_from(KEPT_FOR_EACH_LANE).unwrap();
    assert_eq!(shipped["max_msgs_per_subject"].as_integer(), Some(10_000));
    assert_eq!(kept, 10_000);

    let export = rich_export().await;
    for (count, is_fault) in [(kept - 1, true), (kept, false)] {
        let mut messages = Messages::of(&export.files);
        let receipts = messages.of_stream("receipt.insurer-a");
        let last = receipts.last().unwrap().clone();
        let of_lane = receipts.iter().filter(|receipt| receipt.subject == last.subject);
        // The lane's receipts after a gap, the last one again and again.
        for more in 1..=count - of_lane.count() {
            let sequence = last.sequence + 1 + u64::try_from(more).unwrap();
            receipts.push(Stored {
                sequence,
                ..last.clone()
            });
        }
        let found = verify_files(&messages.write(&export.auditor), &trust(export)).findings;
        assert_eq!(!found.faults.is_empty(), is_fault, "{}", list(&found.faults));
        let is_reported = found
            .not_covered
            .iter()
            .any(|what| what.starts_with("1 receipts between others"));
        assert_eq!(is_reported, !is_fault, "{:?}", found.not_covered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_altered_orders_in_force_are_found() {
    let export = rich_export().await;
    let mut messages = Messages::of(&export.files);
    let records = messages.of_stream("control.bureau");
    assert!(records.len() >= 2);
    let paused: Control = Envelope::decode(&records[0].bytes).unwrap().read().unwrap();
    let last = records.len() - 1;
    let key = signer(export, &records[last]);
    let bytes = sign_again::<Control>(&records[last].bytes, key, |record| {
        record.orders = paused.orders.clone()
    });
    records[last].bytes = bytes.into();
    let place = Place::of(&records[last]);
    let found = verify_files(&messages.write(&export.auditor), &trust(export));
    let faults = &found.findings.faults;
    let is_found = faults
        .iter()
        .any(|fault| place.is_named_by(fault) && fault.what.contains("orders that follow"));
    assert!(is_found, "{}", list(faults));
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_rewritten_history_names_the_agreed_chunk() {
    let export = rich_export().await;
    let mut messages = Messages::of(&export.files);
    let chunks = messages.of_stream("data.insurer-a");
    rewrite_history(chunks, "data.insurer-a.claim", 1, &export.bureau);
    let found = verify_files(&messages.write(&export.auditor), &trust(export));
    let faults = &found.findings.faults;
    // The chain itself is valid: only the receiver's signatures contradict it.
    assert!(
        faults.iter().all(|fault| fault.class == FaultClass::Receipt),
        "{}",
        list(faults)
    );
    assert!(
        faults[0].what.contains("the history was rewritten"),
        "{}",
        list(faults)
    );
}
