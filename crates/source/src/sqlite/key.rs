//! Whether the key is unique: by the catalogue, or page by page.

use rusqlite::types::Value as Owned;
use rusqlite::{Connection, params_from_iter};

use super::check::{Checked, Table};
use super::failure;
use crate::error::{ErrorKind, Result};
use crate::feed::FeedDefinition;
use crate::key_proof::{KeyProof, PAGE, not_unique};
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column};
use crate::select_list::SelectList;

/// A proof of a SQLite feed's key.
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
    checked: &Checked,
    proof: &mut Proof,
) -> Result<()> {
    let Some(after) = proof.next() else { return Ok(()) };
    let read = read(connection, checked, after);
    match read {
        Ok((keys, is_last)) => match proof.take(keys, is_last) {
            Ok(_) => Ok(()),
            Err(_) => Err(not_unique(feed)),
        },
        Err(error) if error.kind == ErrorKind::TimedOut => {
            proof.impossible("a page of its keys was not read within the statement timeout");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

type Page = Vec<(Vec<String>, Vec<Owned>)>;

fn read(connection: &Connection, checked: &Checked, after: Option<Vec<Owned>>) -> Result<(Page, bool)> {
    let fail = |error: rusqlite::Error| failure::of(&error);
    let key = &checked.schema.key;
    let names = || key.iter().map(|name| column(name));
    let not_null: Vec<String> = names().map(|name| format!("{name} IS NOT NULL")).collect();
    let keyset = Keyset {
        dialect: Dialect::Sqlite,
        sql: checked.keyset.sql.clone(),
        // Two values are one key where they are written alike: 1 and '1' are not.
        select: names()
            .chain(names().map(|name| format!("quote({name})")))
            .collect(),
        cursor: key
            .iter()
            .map(|name| CursorColumn {
                name: name.clone(),
                cast: String::new(),
            })
            .collect(),
        only: Some(not_null.join(" AND ")),
        own: 0,
        fence_zone: None,
    };
    let mut statement = connection
        .prepare_cached(&keyset.read(after.is_some(), Bound::None))
        .map_err(fail)?;
    let mut values = after.unwrap_or_default();
    values.push(Owned::Integer(i64::try_from(PAGE).unwrap_or(i64::MAX)));
    let mut rows = statement.query(params_from_iter(values)).map_err(fail)?;
    let (mut page, mut count) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(fail)? {
        count += 1;
        // A text that is no text has no position; such a row is a reject.
        let position = (0..key.len()).map(|place| row.get::<_, Owned>(place));
        let position = position.collect::<rusqlite::Result<_>>();
        let Ok(position) = position else { continue };
        let text = (key.len()..key.len() * 2).map(|place| row.get::<_, String>(place));
        let Ok(text) = text.collect::<rusqlite::Result<_>>() else {
            continue;
        };
        page.push((text, position));
    }
    Ok((page, count < PAGE))
}
