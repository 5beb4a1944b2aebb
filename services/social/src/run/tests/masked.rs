//! Masks and the block list in the whole agent: no byte that it sends holds a denied value.

use disclosure::mask::key::MaskKey;
use disclosure::mask::{Keep, Mask};
use proptest::prelude::*;
use schemas::encryption::{DecryptionKeys, EncryptionKey};
use schemas::manifest::Reject;
use schemas::person::PersonKey;

use super::*;
use crate::mask::{ColumnMasks, LaneMasks, Masks};

/// The columns that may be masked, in order.
const SECRET: [&str; 3] = ["psn_no", "name", "fee"];

/// A row for each entry, with the values of [`SECRET`]; the key counts from 1.
struct Table {
    rows: Arc<Vec<[String; 3]>>,
    /// The rows that cannot be carried.
    broken: Vec<usize>,
    reads: Arc<Mutex<u64>>,
}

struct TableReader {
    rows: Arc<Vec<[String; 3]>>,
    broken: Vec<usize>,
    schema: RowSchema,
    reads: Arc<Mutex<u64>>,
}

#[async_trait]
impl Source for Table {
    async fn open_feed(&self, feed: &FeedDefinition, _: &Permit) -> source::Result<Box<dyn FeedReader>> {
        let column = |name: &str, kind| Column {
            name: name.into(),
            kind,
            nullable: false,
        };
        let text = || ColumnType::Text { max: None };
        let schema = RowSchema {
            name: feed.name.to_string(),
            version: 1,
            columns: vec![
                column("psn_no", text()),
                column("name", text()),
                column("id", ColumnType::Int8),
                column("fee", text()),
            ],
            key: vec!["id".into()],
            tombstone: None,
        };
        Ok(Box::new(TableReader {
            rows: Arc::clone(&self.rows),
            broken: self.broken.clone(),
            schema,
            reads: Arc::clone(&self.reads),
        }))
    }
    fn own_backends(&self) -> Vec<u32> {
        Vec::new()
    }
    fn driver_counts(&self) -> DriverCounts {
        DriverCounts::default()
    }
    async fn close(&self) {}
}

#[async_trait]
impl FeedReader for TableReader {
    fn schema(&self) -> &RowSchema {
        &self.schema
    }
    async fn fence(&mut self, _: &Permit) -> source::Result<FenceReading> {
        Ok(FenceReading {
            fence: Some(Fence::Open),
            ..FenceReading::default()
        })
    }
    async fn read(
        &mut self,
        after: Option<&Cursor>,
        _: &Fence,
        limit: usize,
        _: &Permit,
        rows: &mut dyn RowSink,
    ) -> source::Result<Quantum> {
        *self.reads.lock().unwrap() += 1;
        let from = match after.map(|cursor| cursor.0.as_slice()) {
            Some([Scalar::Int(id)]) => usize::try_from(*id).unwrap(),
            _ => 0,
        };
        let mut read = 0;
        for (at, [person, name, fee]) in self.rows.iter().enumerate().skip(from).take(limit) {
            let id = i64::try_from(at + 1).unwrap();
            if self.broken.contains(&at) {
                let reject = Reject {
                    key: vec![Some(Scalar::Int(id))],
                    column: Some("name".to_owned()),
                    reason: "no text".to_owned(),
                };
                rows.reject(Cursor(vec![Scalar::Int(id)]), reject);
            } else {
                let row = [
                    Value::Text(person),
                    Value::Text(name),
                    Value::Int(id),
                    Value::Text(fee),
                ];
                rows.row(&row);
            }
            read += 1;
        }
        let end = if read == limit as u64 {
            End::Limit
        } else {
            End::Drained
        };
        Ok(Quantum {
            rows: read,
            end,
            took: Duration::from_millis(1),
        })
    }
}

/// The random input of one run of the agent.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<[String; 3]>,
    /// The masks, by recipient and column of [`SECRET`].
    masks: [[Option<Mask>; 3]; 2],
    blocked: Vec<bool>,
    broken: Vec<bool>,
    is_encrypted: bool,
}

impl Case {
    fn masks_of(&self, at: usize) -> ColumnMasks {
        let named = SECRET.iter().zip(self.masks[at]);
        named
            .filter_map(|(name, mask)| Some(((*name).to_owned(), mask?)))
            .collect()
    }

    fn is(list: &[bool], at: usize) -> bool {
        list.get(at).copied().unwrap_or(false)
    }
}

/// Everything that one recipient can see, decrypted, as one text.
fn seen(exchange: &Memory, lane: &Lane, key: &SigningKey, ring: &DecryptionKeys) -> (String, u64) {
    let (mut text, mut passed) = (String::new(), 0);
    for stored in exchange.lane(lane) {
        let chunk = chunk::VerifiedChunk::open(&stored.bytes, &[key.public().clone()], ring).unwrap();
        let totals = &chunk.manifest.content.totals;
        passed += totals.rows + totals.withheld + chunk.manifest.content.rejects.len() as u64;
        text.push_str(&String::from_utf8_lossy(&stored.bytes));
        text.push_str(&String::from_utf8_lossy(&chunk.plain));
        text.push_str(&serde_json::to_string(&chunk.manifest).unwrap());
    }
    (text, passed)
}

async fn check(case: Case) {
    log_output::begin();
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let ring = DecryptionKeys::new(vec![Arc::new(EncryptionKey::generate().unwrap())]);
    let mut parts = parts(&exchange, &key, Gate::fixed_open(), 0, &reads);
    let definition = parts.feeds[0].definition.digest();
    parts.feeds[0].definition.money = vec!["fee".to_owned()];
    let with_money = parts.feeds[0].definition.digest();
    assert_ne!(definition, with_money);
    parts.source = Arc::new(Table {
        rows: Arc::new(case.rows.clone()),
        broken: (0..case.rows.len())
            .filter(|at| Case::is(&case.broken, *at))
            .collect(),
        reads: Arc::clone(&reads),
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocklist");
    let blocked = |at: usize| Case::is(&case.blocked, at);
    let persons: Vec<_> = (0..case.rows.len()).filter(|at| blocked(*at)).collect();
    let lines: String = persons
        .iter()
        .map(|at| format!("PSN,{}\n", case.rows[*at][0]))
        .collect();
    let text = format!(
        "HDR,slacktide-blocklist,1,2026-01-31\n{lines}TRL,{}\n",
        persons.len()
    );
    std::fs::write(&path, text).unwrap();
    let persons = Arc::new(PersonKey::of(&key).unwrap());
    let keeper = crate::blocklist::Keeper::start(path, persons).unwrap();
    let secret = MaskKey::new(&"k".repeat(32)).unwrap();
    let masks: LaneMasks = lanes()
        .into_iter()
        .enumerate()
        .filter_map(|(at, lane)| {
            let masks = Masks::new(case.masks_of(at), &lane.recipient, Some(&secret)).unwrap()?;
            Some((lane, Arc::new(masks)))
        })
        .collect();
    let mut encryption = EncryptionKeys::default();
    if case.is_encrypted {
        let theirs = ring.current().unwrap();
        encryption
            .recipients
            .insert(lanes()[0].recipient.clone(), theirs.public().clone());
        encryption.own = DecryptionKeys::new(vec![Arc::new(EncryptionKey::generate().unwrap())]);
    }
    let social = Social::new(parts).unwrap().with_holds(HoldConfig {
        holds: hold::none(),
        persons: BTreeMap::from([(FeedName::new("numbers").unwrap(), "psn_no".to_owned())]),
    });
    let social = social
        .with_encryption(encryption)
        .with_blocklist(keeper)
        .with_masks(masks);
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    let all = case.rows.len() as u64;
    until(|| {
        lanes()
            .iter()
            .all(|lane| seen(&exchange, lane, &key, &ring).1 >= all)
    })
    .await;
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
    let visible = format!("{}{:?}", log_output::all(), view.status());
    for (at, lane) in lanes().iter().enumerate() {
        let masks = case.masks_of(at);
        let (text, passed) = seen(&exchange, lane, &key, &ring);
        assert_eq!(passed, all, "each row once");
        for (row, values) in case.rows.iter().enumerate() {
            for (column, value) in SECRET.iter().zip(values) {
                assert!(!visible.contains(value.as_str()), "{column} was logged or shown");
                let gone = blocked(row) || Case::is(&case.broken, row) || masks.contains_key(*column);
                assert_eq!(
                    !text.contains(value.as_str()),
                    gone,
                    "{column} of row {row} to {lane}"
                );
            }
        }
        for stored in exchange.lane(lane) {
            let chunk = chunk::VerifiedChunk::open(&stored.bytes, &[key.public().clone()], &ring).unwrap();
            let manifest = chunk.manifest;
            assert_eq!(
                manifest.content.definition,
                crate::mask::definition(with_money, &masks)
            );
            assert_eq!(
                manifest.content.totals.money.contains_key("fee"),
                !masks.contains_key("fee")
            );
            for (column, mask) in &masks {
                let is_sent = manifest.content.schema.index_of(column).is_some();
                assert_eq!(is_sent, *mask != Mask::Drop, "{column}");
            }
        }
    }
}

fn mask() -> impl Strategy<Value = Option<Mask>> {
    prop_oneof![
        Just(None),
        Just(Some(Mask::Drop)),
        Just(Some(Mask::Token)),
        Just(Some(Mask::Year)),
        Just(Some(Mask::Prefix(3))),
        Just(Some(Mask::Keep(Keep { first: 2, last: 2 }))),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let flags = || prop::collection::vec(prop::bool::weighted(0.2), 0..30);
    let masks = || [mask(), mask(), mask()];
    let row = ["7[0-9]{15}", "N[A-Za-z]{15}", "[1-9][0-9]{12}\\.[0-9]{2}"];
    (
        prop::collection::vec(row, 1..30),
        [masks(), masks()],
        flags(),
        flags(),
        any::<bool>(),
    )
        .prop_map(|(rows, masks, blocked, broken, is_encrypted)| Case {
            rows,
            masks,
            blocked,
            broken,
            is_encrypted,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// No byte that a mask or the block list denies is published, logged or shown; other rows are published.
    #[test]
    fn a_denied_or_masked_value_is_in_no_byte_published_nor_logged(case in case()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(check(case));
    }
}

/// Each recipient gets other bytes of one shared read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mask_recipients_with_other_masks_share_one_read() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 20_000, &reads)).unwrap();
    let lane = lanes().remove(0);
    let masks = BTreeMap::from([("text".to_owned(), Mask::Drop)]);
    let masks = Masks::new(masks, &lane.recipient, None).unwrap().unwrap();
    let social = social.with_masks(LaneMasks::from([(lane.clone(), Arc::new(masks))]));
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    all_published(&exchange, &key, 20_000).await;
    for lane in lanes() {
        check_chain(&exchange.chunks(&lane, key.public()), 20_000);
    }
    let width = |lane: &Lane| {
        exchange.chunks(lane, key.public())[0]
            .manifest
            .content
            .schema
            .columns
            .len()
    };
    assert_eq!((width(&lane), width(&lanes()[1])), (1, 2));
    let read = view.status().feeds["numbers"].rows_read;
    assert!(read < 30_000, "{read} rows were read for two");
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}

/// A mask that does not match the columns stops its lane before a row is packed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mask_of_a_missing_column_stops_its_lane() {
    let exchange = memory();
    let (key, reads) = (Arc::new(SigningKey::generate()), Arc::new(Mutex::new(0)));
    let social = Social::new(parts(&exchange, &key, Gate::fixed_open(), 100, &reads)).unwrap();
    let [a, b] = [lanes()[0].clone(), lanes()[1].clone()];
    let masks = BTreeMap::from([("txet".to_owned(), Mask::Drop)]);
    let masks = Masks::new(masks, &a.recipient, None).unwrap().unwrap();
    let social = social.with_masks(LaneMasks::from([(a.clone(), Arc::new(masks))]));
    let (view, stop) = (social.view(), CancellationToken::new());
    let agent = tokio::spawn(social.run(stop.clone()));
    until(|| !exchange.chunks(&b, key.public()).is_empty()).await;
    until(|| {
        let why = view.status().lanes[&a.to_string()].last_error.clone();
        why.is_some_and(|why| why.contains("there is no column \"txet\""))
    })
    .await;
    assert!(exchange.chunks(&a, key.public()).is_empty());
    stop.cancel();
    assert_eq!(agent.await.unwrap(), Ok(()));
}
