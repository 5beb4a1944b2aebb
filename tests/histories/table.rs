//! Generated tables: their key, their cursor, whether they mark deleted rows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rusqlite::Connection;
use schemas::name::FeedName;
use source::feed::CursorClock;
use source::{CursorSetBy, FeedDefinition};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Integer,
    Text,
    Two,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The rowid, never used twice. A changed row is written again under a new one.
    Rowid,
    /// A number that the application increments.
    Version,
    /// A time as text, written by the application.
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) key: Key,
    pub(super) order: Order,
    pub(super) has_tombstone: bool,
}

/// Longer than the smallest step of any cursor here.
pub(super) const LAG: Duration = Duration::from_millis(5);

impl Table {
    pub(super) fn key(self) -> &'static [&'static str] {
        match self.key {
            Key::Integer => &["id"],
            Key::Text => &["code"],
            Key::Two => &["branch", "code"],
        }
    }

    pub(super) fn order(self) -> &'static str {
        match self.order {
            Order::Rowid => "seq",
            Order::Version => "version",
            Order::Time => "at",
        }
    }

    /// Returns the statements that create it.
    pub(super) fn create(self) -> String {
        let key = match self.key {
            Key::Integer => "id INTEGER NOT NULL",
            Key::Text => "code TEXT NOT NULL",
            Key::Two => "branch INTEGER NOT NULL, code TEXT NOT NULL",
        };
        let order = match self.order {
            Order::Rowid => "seq INTEGER PRIMARY KEY AUTOINCREMENT",
            Order::Version => "version INTEGER",
            Order::Time => "at TEXT",
        };
        let names = self.key().join(", ");
        let index = match self.order {
            Order::Rowid => String::new(),
            _ => format!(
                "CREATE UNIQUE INDEX item_order ON item ({}, {names});",
                self.order()
            ),
        };
        format!(
            "CREATE TABLE item ({order}, {key}, note TEXT, amount INTEGER, gone INTEGER NOT NULL DEFAULT 0, UNIQUE ({names}));\
             {index}"
        )
    }

    pub(super) fn feed(self) -> FeedDefinition {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (mut cursor, mut columns) = (own(&[self.order()]), own(&[self.order()]));
        columns.extend(own(self.key()));
        columns.extend(own(&["note", "amount"]));
        if self.has_tombstone {
            columns.push("gone".to_owned());
        }
        if self.order != Order::Rowid {
            cursor.extend(own(self.key()));
        }
        FeedDefinition {
            name: FeedName::new("item").unwrap(),
            version: 1,
            sql: format!("SELECT {} FROM item", columns.join(", ")),
            cursor,
            cursor_set_by: match self.order {
                Order::Rowid => CursorSetBy::Sequence,
                _ => CursorSetBy::Application,
            },
            lag: LAG,
            key: own(self.key()),
            money: Vec::new(),
            tombstone: self.has_tombstone.then(|| "gone".to_owned()),
            types: BTreeMap::new(),
            clock: CursorClock::default(),
        }
    }

    /// Returns the values of a new key, in SQL. Texts differ only in case, blanks and accents.
    pub(super) fn new_key(self, number: u32) -> String {
        let text = |number: u32| {
            let stem = ["k", "K", "k ", "ḱ"][number as usize % 4];
            format!("'{stem}{}'", number / 4)
        };
        match self.key {
            Key::Integer => number.to_string(),
            Key::Text => text(number),
            Key::Two => format!("{}, {}", number % 3, text(number / 3)),
        }
    }
}

/// The state of a row's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Placed,
    Null,
    /// Ahead of the clock, or of every number.
    Ahead,
    /// Of another form than the others.
    Misfit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CoreRow {
    /// What the store must hold of it; `None` if it is marked as deleted.
    pub(super) values: Option<String>,
    pub(super) standing: Standing,
}

/// A key as SQLite prints its values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowKey(pub(super) String);

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Table {
    /// Returns columns as one text, as SQLite prints their values.
    pub(super) fn quoted(names: &[&str]) -> String {
        let quoted: Vec<String> = names.iter().map(|name| format!("quote({name})")).collect();
        quoted.join(" || ', ' || ")
    }

    /// Returns the core's rows, read without the product.
    pub(super) fn core_rows(self, core: &Connection) -> BTreeMap<RowKey, CoreRow> {
        let (key, values) = (Self::quoted(self.key()), Self::quoted(&["note", "amount"]));
        let order = self.order();
        let now: String = core
            .query_row("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')", [], |row| {
                row.get(0)
            })
            .unwrap();
        let sql = format!("SELECT {key}, {values}, gone, typeof({order}), CAST({order} AS TEXT) FROM item");
        let mut statement = core.prepare(&sql).unwrap();
        let rows = statement.query_map([], |row| {
            let is_gone = self.has_tombstone && row.get::<_, i64>(2)? != 0;
            let (class, at): (String, Option<String>) = (row.get(3)?, row.get(4)?);
            let row_of_core = CoreRow {
                values: (!is_gone).then_some(row.get(1)?),
                standing: self.standing(&class, at.as_deref(), &now),
            };
            Ok((RowKey(row.get(0)?), row_of_core))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    fn standing(self, class: &str, at: Option<&str>, now: &str) -> Standing {
        let Some(at) = at else { return Standing::Null };
        let is_time = |text: &str| {
            let signs: Vec<char> = text.chars().collect();
            signs.len() == 23 && signs[10] == ' ' && signs[19] == '.'
        };
        match self.order {
            Order::Rowid => Standing::Placed,
            Order::Version if class != "integer" => Standing::Misfit,
            Order::Version if at == i64::MAX.to_string() => Standing::Ahead,
            Order::Time if class != "text" || !is_time(at) => Standing::Misfit,
            Order::Time if at > now => Standing::Ahead,
            Order::Version | Order::Time => Standing::Placed,
        }
    }

    /// Returns the store's rows; none if its table does not exist yet.
    pub(super) fn store_rows(self, store: &Connection) -> BTreeMap<RowKey, String> {
        let (key, values) = (Self::quoted(self.key()), Self::quoted(&["note", "amount"]));
        let Ok(mut statement) = store.prepare(&format!("SELECT {key}, {values} FROM item")) else {
            return BTreeMap::new();
        };
        let rows = statement.query_map([], |row| Ok((RowKey(row.get(0)?), row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }
}
