//! Manipulated bytes of export files: each is found, and the report names the file.

use super::offline::{Files, Messages, list, trust, verify_files};
use super::rich_site::rich_export;
use harness::rng::Rng;
use verification::export::format::{BLOCK_HEAD, BlockHead, MAGIC};

/// Printed with a failure; another one in `SLACKTIDE_SEED` tries other manipulations.
const SEED: u64 = 20_260_131;

/// The number of manipulations.
const COUNT: usize = 130;

/// The kinds of manipulations of files.
const KINDS: [&str; 13] = [
    "flip a bit",
    "cut off the end",
    "remove a block",
    "repeat a block",
    "swap two blocks",
    "remove the end record",
    "remove the manifest",
    "append bytes",
    "remove a file",
    "swap two files",
    "mix in a file of another export",
    "flip a bit in a block and repair its digest",
    "repeat a file",
];

/// Returns the parts of a file: the magic number, then each block.
fn blocks(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![bytes[..MAGIC.len()].to_vec()];
    let mut rest = &bytes[MAGIC.len()..];
    while let Some(head) = rest.first_chunk::<BLOCK_HEAD>() {
        let head = BlockHead::decode(head).unwrap();
        let length = BLOCK_HEAD + head.stored as usize;
        parts.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    parts
}

/// Manipulates the files. Returns the files whose place a fault must name; several if the place may be any of them.
fn manipulate(kind: &str, files: &mut Files, other: &Files, rng: &mut Rng) -> Vec<String> {
    let index = rng.below(files.len());
    let names = vec![files[index].0.clone()];
    let mut parts = blocks(&files[index].1);
    let count = parts.len();
    // A block of records, between header and end record.
    let some = 2 + rng.below(count - 4);
    match kind {
        "flip a bit" => {
            let bytes = &mut files[index].1;
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
            return names;
        }
        "cut off the end" => {
            let bytes = &mut files[index].1;
            let length = rng.below(bytes.len());
            bytes.truncate(length);
            return names;
        }
        "append bytes" => {
            let extra = parts[some].clone();
            parts.push(extra[..1 + rng.below(extra.len())].to_vec());
        }
        "remove a block" => drop(parts.remove(some)),
        "repeat a block" => {
            let block = parts[some].clone();
            parts.insert(some, block);
        }
        "swap two blocks" => parts.swap(some, some - 1),
        "remove the end record" => drop(parts.remove(count - 2)),
        "remove the manifest" => drop(parts.remove(count - 1)),
        "flip a bit in a block and repair its digest" => {
            let before = match some {
                1 => verification::export::format::first_digest(),
                _ => {
                    BlockHead::decode(parts[some - 1].first_chunk().unwrap())
                        .unwrap()
                        .digest
                }
            };
            let head = BlockHead::decode(parts[some].first_chunk().unwrap()).unwrap();
            let mut stored = parts[some][BLOCK_HEAD..].to_vec();
            let at = rng.below(stored.len());
            stored[at] ^= 1 << rng.below(8);
            let repaired = BlockHead::new(head.kind, head.plain, &stored, before);
            parts[some] = [repaired.encode(), stored].concat();
        }
        "remove a file" => {
            // The last one: what remains is an export that ends earlier, so its place is the missing end.
            let (name, _) = files.remove(0);
            return vec![name];
        }
        "swap two files" => {
            files.swap(0, 1);
            return files.iter().map(|(name, _)| name.clone()).collect();
        }
        "repeat a file" => {
            let file = files[index].clone();
            files.insert(index, file);
            return names;
        }
        "mix in a file of another export" => {
            files[index].1.clone_from(&other[index].1);
            return files.iter().map(|(name, _)| name.clone()).collect();
        }
        other => panic!("{other}"),
    }
    files[index].1 = parts.concat();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_every_manipulation_of_a_file_is_found() {
    let export = rich_export().await;
    let trust = trust(export);
    let messages = Messages::of(&export.files);
    let chunks = messages.clone().of_stream("data.insurer-a").clone();
    let files = messages.write_until(&export.auditor, Some(chunks[chunks.len() / 2].stored_at));
    // Another valid export of the same site, split elsewhere.
    let other = messages.write_until(&export.auditor, Some(chunks[chunks.len() / 3].stored_at));
    assert!(verify_files(&other, &trust).findings.is_sound());
    let (mut rng, seed) = Rng::seeded(SEED);
    for round in 0..COUNT {
        let kind = KINDS[round % KINDS.len()];
        let mut altered = files.clone();
        let places = manipulate(kind, &mut altered, &other, &mut rng);
        let found = verify_files(&altered, &trust);
        let context = || {
            format!(
                "seed {seed}, round {round}: {kind} in {places:?}\n{}",
                list(&found.findings.faults)
            )
        };
        if kind == "remove a file" {
            // Without the first file the rest is valid, and the report names what is missing.
            assert!(!found.is_complete, "{}", context());
            let not_covered = found.findings.not_covered.join("\n");
            assert!(
                not_covered.contains("files 1 to 1"),
                "{}\n{not_covered}",
                context()
            );
            continue;
        }
        assert!(!found.findings.is_sound(), "not found: {}", context());
        let is_named = found.findings.faults.iter().any(|fault| {
            fault.file.as_ref().is_some_and(|file| places.contains(file)) && !fault.what.is_empty()
        });
        assert!(is_named, "not located: {}", context());
    }
}
