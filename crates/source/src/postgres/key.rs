//! Whether the key is unique: by the catalogue, or by reading it page by page.

use gate::permit::Permit;
use schemas::column::ColumnType;
use schemas::key::pack_key;
use schemas::value::Value;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Column as WireColumn, Row};

use super::catalogue::{Index, Relation};
use super::cell;
use super::checked_feed::CheckedFeed;
use super::session::SessionGuard;
use crate::error::{ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::key_proof::{KeyProof, PAGE, refuse_duplicate_key};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column};

/// The key proof of a PostgreSQL feed.
pub(super) type Proof = KeyProof<String>;

/// Whether a unique index within the key's columns proves it. The columns may be nullable, because a row with a null key is a
/// reject.
pub(super) fn by_catalogue(
    feed: &FeedDefinition,
    columns: &[WireColumn],
    base: Option<&Relation>,
    indexes: &[Index],
) -> bool {
    let Some(base) = base else { return false };
    let number = |name: &String| {
        let one = columns.iter().find(|one| one.name() == name)?;
        one.column_id().filter(|_| one.table_oid() == Some(base.oid))
    };
    let key: Vec<i16> = feed.key.iter().filter_map(number).collect();
    indexes.iter().any(|index| {
        index.unique && !index.columns.is_empty() && index.columns.iter().all(|column| key.contains(column))
    })
}

/// Encodes a key of printed values in its canonical format, by which the store compares rows. `None` if it is too long.
fn encode_key(kinds: &[&ColumnType], texts: &[String]) -> Option<Vec<u8>> {
    let mut packed = Vec::with_capacity(16);
    let parts = kinds.iter().zip(texts);
    let packs = pack_key(
        parts.map(|(kind, text)| (*kind, Value::Text(text.as_str()))),
        &mut packed,
    );
    packs.ok().map(|()| packed)
}

/// Reads and compares a page of keys.
///
/// # Errors
/// `Refused` where two rows share a key.
pub(super) async fn page(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    checked: &CheckedFeed,
    proof: &mut Proof,
) -> Result<()> {
    let Some(after) = proof.next() else { return Ok(()) };
    let key = &checked.schema.key;
    let names = || key.iter().map(|name| column(name));
    let not_null: Vec<String> = names().map(|name| format!("{name} IS NOT NULL")).collect();
    let keyset = Keyset {
        dialect: Dialect::Postgres,
        sql: checked.keyset.sql.clone(),
        select: names().map(|name| format!("{name}::text")).collect(),
        cursor: key
            .iter()
            .zip(&checked.key_casts)
            .map(|(name, cast)| CursorColumn {
                name: name.clone(),
                cast: cast.clone(),
            })
            .collect(),
        only: Some(not_null.join(" AND ")),
        own_parameters: 0,
        fence_zone: None,
    };
    let mut values = after.clone().unwrap_or_default();
    values.push(PAGE.to_string());
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> = values
        .iter()
        .map(|value| (value as &(dyn ToSql + Sync), Type::TEXT))
        .collect();
    let read = locked
        .query(permit, &keyset.read(after.is_some(), Bound::None), &parameters)
        .await;
    let rows = match read {
        Ok(rows) => rows,
        Err(error) if error.kind == ErrorKind::TimedOut => {
            proof.set_impossible("a page of its keys was not read within the statement timeout");
            return Ok(());
        }
        // A type without an order, such as json.
        Err(error) if matches!(error.kind, ErrorKind::Refused | ErrorKind::Database) => {
            proof.set_impossible(format!("its keys cannot be read in an order: {}", error.what));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let text = |row: &Row, place: usize| {
        cell::raw(row, place).and_then(|bytes| std::str::from_utf8(bytes).ok().map(str::to_owned))
    };
    let kinds: Vec<&ColumnType> = checked
        .key
        .iter()
        .filter_map(|place| checked.schema.columns.get(*place))
        .map(|column| &column.kind)
        .collect();
    // Invalid text has no position; such a row is a reject.
    let keys = rows.iter().filter_map(|row| {
        let key: Vec<String> = (0..key.len())
            .map(|place| text(row, place))
            .collect::<Option<_>>()?;
        Some((encode_key(&kinds, &key)?, key))
    });
    match proof.take(keys.collect(), rows.len() < PAGE) {
        Ok(_) => Ok(()),
        Err(_) => Err(refuse_duplicate_key(feed)),
    }
}
