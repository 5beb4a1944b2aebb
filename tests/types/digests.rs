//! Digests of the rows of a table as they are published and as the store has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reconciliation::{Digested, KeyDigest, RowDigester};
use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::Lane;
use schemas::rows::RowReader;
use schemas::value::Value;
use store::merge::ChunkNumber;
use store::{Arrival, RowVisitor, SharedVisitor, StoredRows};

/// The digest of each row by that of its key.
pub(super) type Digests = BTreeMap<KeyDigest, Digest>;

const SALT: &str = "types";

/// Adds the digests of the rows of a chunk.
pub(super) fn add_published(arrival: &Arrival, digests: &mut Digests) {
    let content = &arrival.chunk.manifest.content;
    let mut digester = RowDigester::new(&content.schema, SALT, &[], None).unwrap();
    let plain = &arrival.chunk.plain;
    let mut rows = RowReader::new(plain, content.schema.columns.len(), content.totals.rows);
    let mut row = Vec::new();
    while rows.next_into(&mut row).unwrap() {
        let Digested { key, row } = digester.row(&row);
        digests.insert(key, row);
    }
}

#[derive(Default)]
struct Visitor {
    digester: Option<RowDigester>,
    digests: Digests,
}

impl RowVisitor for Visitor {
    fn begin(&mut self, columns: &RowSchema) {
        self.digester = Some(RowDigester::new(columns, SALT, &[], None).unwrap());
    }

    fn row(&mut self, _: ChunkNumber, row: &[Value<'_>]) {
        let Digested { key, row } = self.digester.as_mut().unwrap().row(row);
        self.digests.insert(key, row);
    }
}

/// Checks that each row of the store has the digest with which it was published.
pub(super) async fn check_equal(
    store: &dyn StoredRows,
    lane: &Lane,
    published: &Digests,
    quarantined: u64,
) -> Result<(), String> {
    if published.is_empty() {
        return Ok(());
    }
    let visitor = Arc::new(Mutex::new(Visitor::default()));
    let shared: SharedVisitor = Arc::<Mutex<Visitor>>::clone(&visitor);
    store
        .read_rows(lane, shared)
        .await
        .map_err(|error| error.to_string())?;
    let stored = std::mem::take(&mut visitor.lock().unwrap().digests);
    let missing = published.len() - stored.len().min(published.len());
    if u64::try_from(missing).unwrap() != quarantined {
        return Err(format!(
            "{missing} digests are missing, {quarantined} rows are in quarantine"
        ));
    }
    let other = stored
        .iter()
        .filter(|(key, row)| published.get(*key) != Some(*row))
        .count();
    if other > 0 {
        let keys = stored.keys().filter(|key| !published.contains_key(*key)).count();
        return Err(format!(
            "{other} of {} digests differ, {keys} of them in their keys",
            stored.len()
        ));
    }
    Ok(())
}
