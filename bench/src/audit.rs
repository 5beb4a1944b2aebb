//! The rate of a verification: rows per second on one core, from an export of many rows.
//!
//! `make bench-audit`; BENCH_ARGS='--rows 1000000'. The export is made first and is not measured: chunks of 250 KB with seven money
//! columns, load evidence and a chain, as a bureau publishes them, and a receipt for each tenth chunk.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::time::Instant;

use audit::export::claims::Claims;
use audit::export::writer::Writer;
use clap::Parser;
use exchange::Stored;
use jiff::{SignedDuration, Timestamp};
use schemas::body::BodyFormat;
use schemas::chunk::SignedChunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::cursor::{Cursor, Scalar};
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::Envelope;
use schemas::heads::Heads;
use schemas::load::{GateState, Load, LoadSample, LoadVerdict, SignalLimit};
use schemas::manifest::{Algorithms, Content, Manifest, Totals};
use schemas::origin::Origin;
use schemas::receipt::Receipt;
use schemas::rows::pack;
use schemas::sign::SigningKey;
use schemas::stream::Stream;
use schemas::total::Total;
use schemas::value::Value;
use verification::export::manifest::Header;
use verification::export::verify::ExportVerifier;
use verification::{StreamId, Trust};

/// Measure the rate of a verification on one core.
#[derive(Parser)]
struct Arguments {
    /// The number of rows.
    #[arg(long, default_value_t = 2_000_000)]
    rows: u64,
    /// The number of runs; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// The length of the rows of a chunk.
const CHUNK: usize = 250_000;

const MONEY: [&str; 7] = [
    "total", "fund", "account", "cash", "class_a", "class_b", "own_pay",
];

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let (bureau, insurer, auditor) = (
        SigningKey::generate(),
        SigningKey::generate(),
        SigningKey::generate(),
    );
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("000001.slx");
    let chunks = make(
        arguments.rows,
        &bureau,
        &insurer,
        &auditor,
        BufWriter::new(File::create(&path)?),
    )?;
    let bytes = std::fs::metadata(&path)?.len();
    let trust = Trust {
        chunks: vec![bureau.public().clone()],
        receipts: vec![insurer.public().clone()],
        exporters: vec![auditor.public().clone()],
        here: Origin {
            site: "main".parse()?,
            ..Origin::default()
        },
        decryption_keys: DecryptionKeys::default(),
        ..Trust::default()
    };
    let mut seconds = Vec::new();
    for _ in 0..arguments.runs.max(1) {
        let begun = Instant::now();
        let mut verifier = ExportVerifier::new(&trust);
        let input = BufReader::with_capacity(1 << 20, File::open(&path)?);
        verifier.file("000001.slx", input, &mut |_| {})?;
        let found = verifier.finish(None);
        let first = found.findings.faults.first().map(ToString::to_string);
        if found.findings.rows_verified != arguments.rows || first.is_some() {
            return Err(format!("{} rows, {first:?}", found.findings.rows_verified).into());
        }
        seconds.push(begun.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let median = seconds[seconds.len() / 2];
    let per_second = |count: u64| (f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / median).round();
    println!("rows            {}", arguments.rows);
    println!("chunks          {chunks}");
    println!("export          {bytes} bytes");
    println!(
        "verified in     {median:.2} s on one core, median of {}",
        seconds.len()
    );
    println!("rate            {} rows/s", per_second(arguments.rows));
    println!("                {} KB/s of the export", per_second(bytes / 1_000));
    Ok(())
}

/// Writes an export with this number of rows. Returns the number of chunks.
fn make(
    rows: u64,
    bureau: &SigningKey,
    insurer: &SigningKey,
    auditor: &SigningKey,
    out: BufWriter<File>,
) -> Result<u64, Failure> {
    let of = |stream, party: &str| {
        Ok::<_, Failure>(StreamId {
            stream,
            party: party.parse()?,
        })
    };
    let streams = vec![of(Stream::Data, "insurer-a")?, of(Stream::Receipts, "insurer-a")?];
    let header = Header {
        site: "main".parse()?,
        number: 1,
        previous: None,
        from: None,
        until: None,
        streams: streams.clone(),
        is_selection: true,
    };
    let mut writer = Writer::new(out, header)?;
    let mut claims = Claims::default();
    let mut receipts = Vec::new();
    let (mut next, mut number, mut previous) = (0, 0, None);
    while next < rows {
        let (plain, totals) = pack_rows(&mut next, rows)?;
        number += 1;
        let manifest = manifest(number, previous, totals, bureau)?;
        let stored_rows = next;
        let signed = SignedChunk::sign(manifest, &plain, bureau, None)?;
        previous = Some(signed.digest);
        let message = Stored {
            subject: "data.insurer-a.setl".to_owned(),
            sequence: number,
            stored_at: at(number),
            trace: None,
            bytes: signed.bytes.into(),
        };
        writer.push(0, &message)?;
        claims.add(&streams[0], &message);
        if number.is_multiple_of(10) {
            receipts.push(receipt(number, signed.digest, stored_rows, insurer)?);
        }
    }
    for (sequence, bytes) in (1..).zip(receipts) {
        let message = Stored {
            subject: "receipt.insurer-a.setl".to_owned(),
            sequence,
            stored_at: at(number),
            trace: None,
            bytes: bytes.into(),
        };
        writer.push(1, &message)?;
        claims.add(&streams[1], &message);
    }
    writer.finish(&claims, &[], auditor)?;
    Ok(number)
}

fn at(number: u64) -> Timestamp {
    let second = 1_767_225_600_i64.saturating_add(i64::try_from(number).unwrap_or(0));
    Timestamp::from_second(second).unwrap_or_default()
}

/// Packs rows up to the length of a chunk.
fn pack_rows(next: &mut u64, rows: u64) -> Result<(Vec<u8>, Totals), Failure> {
    let mut plain = Vec::with_capacity(CHUNK + 1_000);
    let mut sums: Vec<Total> = vec![Total::default(); MONEY.len()];
    let mut count = 0;
    while *next < rows && plain.len() < CHUNK {
        let id = *next;
        let texts = [
            format!("H{:011}", id % 4_000),
            format!("P{:019}", id.wrapping_mul(7919) % 1_000_000),
            format!("姓名{}", id % 5_000),
            format!("2026-01-{:02}T{:02}:{:02}:00Z", 1 + id % 28, id % 24, id % 60),
            format!("I{:02}.{}", id % 100, id % 10),
        ];
        let money: Vec<String> = (1..=7_u64)
            .map(|factor| format!("{}.{:02}", id.wrapping_mul(factor) % 90_000, id % 100))
            .collect();
        let mut row = vec![Value::Int(i64::try_from(id)?)];
        row.extend(texts.iter().map(|text| Value::Text(text)));
        row.extend(money.iter().map(|text| Value::Text(text)));
        pack(&row, &mut plain)?;
        for (sum, text) in sums.iter_mut().zip(&money) {
            sum.add(Value::Text(text));
        }
        *next += 1;
        count += 1;
    }
    let money = MONEY
        .iter()
        .zip(&sums)
        .map(|(name, sum)| ((*name).to_owned(), sum.to_string()));
    let totals = Totals {
        rows: count,
        money: money.collect(),
        ..Totals::default()
    };
    Ok((plain, totals))
}

fn manifest(
    number: u64,
    previous: Option<Digest>,
    totals: Totals,
    key: &SigningKey,
) -> Result<Manifest, Failure> {
    let texts = ["hospital", "person", "name", "settled_at", "diagnosis"]
        .map(|name| (name, ColumnType::Text { max: None }));
    let money = MONEY.map(|name| {
        (
            name,
            ColumnType::Decimal {
                precision: Some(16),
                scale: Some(2),
            },
        )
    });
    let columns = [("id", ColumnType::Int8)].into_iter().chain(texts).chain(money);
    let cursor = |number: u64| Some(Cursor(vec![Scalar::Int(i64::try_from(number).unwrap_or(0))]));
    Ok(Manifest {
        recipient: "insurer-a".parse()?,
        feed: "setl".parse()?,
        origin: Some(Origin {
            site: "main".parse()?,
            ..Origin::default()
        }),
        epoch: 1,
        number,
        previous,
        opening: None,
        resync: None,
        repair: None,
        heads: Heads::default(),
        cursor_before: if number == 1 { None } else { cursor(number - 1) },
        cursor_after: cursor(number),
        source: None,
        content: Content {
            schema: RowSchema {
                name: "setl".to_owned(),
                version: 1,
                columns: columns
                    .map(|(name, kind)| Column {
                        name: name.to_owned(),
                        kind,
                        nullable: false,
                    })
                    .collect(),
                key: vec!["id".to_owned()],
                tombstone: None,
            },
            definition: Digest::of(&[b"definition"]),
            totals,
            load: load(number),
            rejects: Vec::new(),
            body: BodyFormat::default(),
            read_from: at(number),
            read_to: at(number),
            instance: "0123456789abcdef".to_owned(),
            key: key.public().clone(),
            algorithms: Algorithms::default(),
        },
    })
}

/// Evidence of a second: ten samples of ten signals.
fn load(number: u64) -> Load {
    let signals: Vec<String> = (0..10).map(|signal| format!("signal_{signal}")).collect();
    let limit = SignalLimit {
        stop_milli: 50_000,
        resume_milli: 40_000,
        unit: "percent".to_owned(),
    };
    let samples = (0..10).map(|sample| LoadSample {
        at: at(number) + SignedDuration::from_millis(100 * sample),
        readings_milli: signals.iter().map(|name| (name.clone(), Some(12_345))).collect(),
    });
    Load {
        limits: signals
            .iter()
            .map(|name| (name.clone(), limit.clone()))
            .collect::<BTreeMap<_, _>>(),
        samples: samples.collect(),
        verdicts: vec![LoadVerdict {
            at: at(0),
            state: GateState::Open,
            reason: "idle".to_owned(),
        }],
    }
}

fn receipt(number: u64, head: Digest, rows: u64, key: &SigningKey) -> Result<Vec<u8>, Failure> {
    let receipt = Receipt {
        recipient: "insurer-a".parse()?,
        feed: "setl".parse()?,
        origin: None,
        epoch: 1,
        from: 1,
        to: number,
        head: Some(head),
        cursor: None,
        rows,
        quarantined: Vec::new(),
        stopped: None,
        store: None,
        behind: None,
        is_incomplete: false,
        at: at(number),
        key: key.public().clone(),
    };
    Ok(Envelope::sign(&receipt, Vec::new(), key)?.encode()?)
}
