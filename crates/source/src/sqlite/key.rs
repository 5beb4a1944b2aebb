//! Whether the key is unique: by the schema, or by reading it page by page.

use rusqlite::types::{Value as Owned, ValueRef};
use rusqlite::{Connection, params_from_iter};
use schemas::column::RowSchema;
use schemas::key::pack_key;
use schemas::value::Value;

use super::checked_feed::CheckedFeed;
use super::convert::{self, Format};
use super::failure;
use super::table::Table;
use crate::error::{ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::key_proof::{KeyProof, PAGE, refuse_duplicate_key};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column};
use crate::select_list::SelectList;

/// The key proof of a SQLite feed.
pub(super) type Proof = KeyProof<Owned>;

/// Whether the rowid or a unique index within the key's columns proves it.
pub(super) fn by_catalogue(feed: &FeedDefinition, table: Option<&Table>, list: &SelectList) -> bool {
    let Some(table) = table else { return false };
    let key: Vec<String> = feed.key.iter().filter_map(|name| list.origin(name)).collect();
    key.iter().any(|name| table.is_rowid(name))
        || table
            .unique
            .iter()
            .any(|index| !index.is_empty() && index.iter().all(|name| key.contains(name)))
}

/// Reads and compares a page of keys.
///
/// # Errors
/// `Refused` where two rows share a key.
pub(super) fn page(
    connection: &Connection,
    feed: &FeedDefinition,
    checked: &CheckedFeed,
    proof: &mut Proof,
) -> Result<()> {
    let Some(after) = proof.next() else { return Ok(()) };
    let read = read(connection, checked, after);
    match read {
        Ok((keys, is_last)) => match proof.take(keys, is_last) {
            Ok(_) => Ok(()),
            Err(_) => Err(refuse_duplicate_key(feed)),
        },
        Err(error) if error.kind == ErrorKind::TimedOut => {
            proof.set_impossible("a page of its keys was not read within the statement timeout");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Encodes a key in its canonical format, by which the store compares rows.
///
/// # Errors
/// A key that is too long.
pub(super) fn encode_key<'a>(
    schema: &RowSchema,
    value: impl Fn(usize) -> Result<ValueRef<'a>>,
) -> Result<Option<Vec<u8>>> {
    let mut packed = Vec::with_capacity(16);
    for name in &schema.key {
        let Some((place, column)) = schema.index_of(name).and_then(|place| {
            let column = schema.columns.get(place)?;
            Some((place, column))
        }) else {
            continue;
        };
        let value = value(place)?;
        let mut scratch = String::new();
        let value = match convert::convert(&column.kind, value, &mut scratch) {
            _ if value == ValueRef::Null => return Ok(None),
            Ok(Format::Scratch) => Value::Text(&scratch),
            Ok(Format::Direct) => convert::direct(&column.kind, value),
            // Such a row is a reject, and not at the store. Its encoding differs from that of any other key.
            Err(_) => {
                packed.push(NO_FORM);
                raw_value(value)
            }
        };
        pack_key([(&column.kind, value)], &mut packed).map_err(|_| failure::row_too_long())?;
    }
    Ok(Some(packed))
}

/// A byte with which no packed value begins.
const NO_FORM: u8 = 0xc1;

/// Returns a value as it is stored.
fn raw_value(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Float(number),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text),
        ValueRef::Blob(bytes) => Value::Bytes(bytes),
    }
}

type Page = Vec<(Vec<u8>, Vec<Owned>)>;

fn read(connection: &Connection, checked: &CheckedFeed, after: Option<Vec<Owned>>) -> Result<(Page, bool)> {
    let fail = |error: rusqlite::Error| failure::classify(&error);
    let key = &checked.schema.key;
    let names = || key.iter().map(|name| column(name));
    let not_null: Vec<String> = names().map(|name| format!("{name} IS NOT NULL")).collect();
    let keyset = Keyset {
        dialect: Dialect::Sqlite,
        sql: checked.keyset.sql.clone(),
        select: names().collect(),
        cursor: key
            .iter()
            .map(|name| CursorColumn {
                name: name.clone(),
                cast: String::new(),
            })
            .collect(),
        only: Some(not_null.join(" AND ")),
        own_parameters: 0,
        fence_zone: None,
    };
    // Values that SQLite takes as equal, such as 1 and 1.0, are neighbours in this order.
    let mut statement = connection
        .prepare_cached(&keyset.read(after.is_some(), Bound::None))
        .map_err(fail)?;
    let mut values = after.unwrap_or_default();
    values.push(Owned::Integer(i64::try_from(PAGE).unwrap_or(i64::MAX)));
    let mut rows = statement.query(params_from_iter(values)).map_err(fail)?;
    let (mut page, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(fail)? {
        count += 1;
        // Invalid text has no position; such a row is a reject.
        let position = (0..key.len()).map(|place| row.get::<_, Owned>(place));
        let position = position.collect::<rusqlite::Result<_>>();
        let Ok(position) = position else { continue };
        let place_in_key = |place: usize| {
            let name = checked.schema.columns.get(place).map(|column| &column.name);
            key.iter()
                .position(|known| Some(known) == name)
                .unwrap_or(usize::MAX)
        };
        let format = encode_key(&checked.schema, |place| {
            row.get_ref(place_in_key(place)).map_err(fail)
        })?;
        page.extend(format.map(|format| (format, position)));
    }
    Ok((page, count < PAGE))
}
