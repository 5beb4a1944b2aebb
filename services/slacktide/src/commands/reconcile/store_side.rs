//! The digests of the store's rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use reconciliation::{Header, KeyDigest, RowDigester, StoreKey, Tree};
use schemas::column::RowSchema;
use schemas::name::Lane;
use schemas::rows::RowReader;
use schemas::value::Value;
use store::merge::ChunkNumber;
use store::quarantine::{EntryFilter, Kind};
use store::{RowVisitor, SharedVisitor, StoredRows};

use crate::failure::Failure;

/// What is computed of the rows.
enum Wanted {
    /// Buckets and days.
    Tree(Tree),
    /// The keys of these buckets among so many.
    Keys {
        only: BTreeSet<usize>,
        buckets: usize,
        keys: BTreeMap<KeyDigest, StoredKey>,
    },
}

/// A key of the store, with its values for the report.
pub(super) struct StoredKey {
    /// For the comparison.
    pub(super) compared: StoreKey,
    /// The values of the key's columns.
    pub(super) values: BTreeMap<String, String>,
}

struct Visitor {
    salt: String,
    header: Header,
    wanted: Wanted,
    digester: Option<RowDigester>,
    /// The key's columns with their places.
    key: Vec<(String, usize)>,
    rows: u64,
    fault: Option<String>,
}

/// The store's rows of a lane, as far as a pass at the core covers them.
pub(super) struct StoreSide {
    /// Buckets and days; empty if keys were wanted.
    pub(super) tree: Tree,
    /// The keys.
    pub(super) keys: BTreeMap<KeyDigest, StoredKey>,
    /// All rows of the table.
    pub(super) rows: u64,
    /// The digest of the columns' names.
    pub(super) columns: String,
}

/// Computes buckets and days of the rows up to the chunk that the header names.
pub(super) async fn tree(
    store: &dyn StoredRows,
    lane: &Lane,
    (salt, buckets): (&str, usize),
    header: &Header,
) -> Result<StoreSide, Failure> {
    visit(store, lane, salt, header, Wanted::Tree(Tree::new(buckets))).await
}

/// Computes the digests of the keys of these buckets.
pub(super) async fn keys(
    store: &dyn StoredRows,
    lane: &Lane,
    (salt, buckets): (&str, usize),
    header: &Header,
    only: &BTreeSet<usize>,
) -> Result<StoreSide, Failure> {
    let wanted = Wanted::Keys {
        only: only.clone(),
        buckets,
        keys: BTreeMap::new(),
    };
    visit(store, lane, salt, header, wanted).await
}

async fn visit(
    store: &dyn StoredRows,
    lane: &Lane,
    salt: &str,
    header: &Header,
    wanted: Wanted,
) -> Result<StoreSide, Failure> {
    let visitor = Arc::new(Mutex::new(Visitor {
        salt: salt.to_owned(),
        header: header.clone(),
        wanted,
        digester: None,
        key: Vec::new(),
        rows: 0,
        fault: None,
    }));
    let shared: SharedVisitor = Arc::<Mutex<Visitor>>::clone(&visitor);
    store.read_rows(lane, shared).await?;
    let mut visitor = visitor.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fault) = visitor.fault.take() {
        return Err(Failure::internal(&fault));
    }
    let columns = visitor.digester.as_ref();
    let columns = columns.map_or_else(String::new, |digester| digester.columns().to_string());
    let wanted = std::mem::replace(&mut visitor.wanted, Wanted::Tree(Tree::new(1)));
    let (tree, keys) = match wanted {
        Wanted::Tree(tree) => (tree, BTreeMap::new()),
        Wanted::Keys { keys, .. } => (Tree::new(1), keys),
    };
    Ok(StoreSide {
        tree,
        keys,
        rows: visitor.rows,
        columns,
    })
}

impl RowVisitor for Visitor {
    fn begin(&mut self, columns: &RowSchema) {
        match RowDigester::new(
            columns,
            &self.salt,
            &self.header.money,
            self.header.day.as_deref(),
        ) {
            Ok(digester) => self.digester = Some(digester),
            Err(error) => self.fault = Some(error.to_string()),
        }
        let place = |name: &String| columns.index_of(name).map(|place| (name.clone(), place));
        self.key = columns.key.iter().filter_map(place).collect();
    }

    fn row(&mut self, chunk_number: ChunkNumber, row: &[Value<'_>]) {
        let Some(digester) = &mut self.digester else {
            return;
        };
        self.rows += 1;
        let covered = ChunkNumber {
            epoch: self.header.epoch,
            number: self.header.number,
        };
        let is_newer = chunk_number > covered;
        let digested = digester.row(row);
        match &mut self.wanted {
            Wanted::Tree(tree) if !is_newer => {
                let day = digester.day(row);
                let money: Vec<Value<'_>> = digester.money(row).collect();
                tree.add(&digested, day, money.into_iter());
            }
            Wanted::Tree(_) => {}
            Wanted::Keys { only, buckets, keys } => {
                if !only.contains(&digested.key.bucket(*buckets)) {
                    return;
                }
                if let Some(known) = keys.get_mut(&digested.key) {
                    known.compared.copies += 1;
                    return;
                }
                let text = |(name, place): &(String, usize)| {
                    let value = row.get(*place).copied().unwrap_or(Value::Null);
                    (name.clone(), text_of(value))
                };
                let key = StoredKey {
                    compared: StoreKey {
                        row: digested.row,
                        is_newer,
                        copies: 1,
                    },
                    values: self.key.iter().map(text).collect(),
                };
                keys.insert(digested.key, key);
            }
        }
    }
}

/// Returns a value of a key as text: identifiers stay as they are.
fn text_of(value: Value<'_>) -> String {
    match value.json() {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Returns the keys of the rows that the store keeps in quarantine.
pub(super) async fn quarantined(
    store: &dyn StoredRows,
    lane: &Lane,
    salt: &str,
) -> Result<BTreeSet<KeyDigest>, Failure> {
    let wanted = EntryFilter {
        feed: Some(lane.feed.clone()),
        ..EntryFilter::default()
    };
    let mut keys = BTreeSet::new();
    for entry in store.entries(&wanted).await? {
        if entry.kind != Kind::Row || entry.lane != *lane {
            continue;
        }
        let Some(content) = store.content(lane, &entry.id).await? else {
            continue;
        };
        let Some(manifest) = content.manifest else {
            continue;
        };
        let schema = &manifest.content.schema;
        let mut row = Vec::new();
        let mut rows = RowReader::new(&content.bytes, schema.columns.len(), 1);
        if let Ok(mut digester) = RowDigester::new(schema, salt, &[], None)
            && let Ok(true) = rows.next_into(&mut row)
        {
            keys.insert(digester.key(&row));
        }
    }
    Ok(keys)
}
