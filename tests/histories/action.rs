//! The events of a history: at the core, at the store, and operators' orders.

use std::fs;

use commercial::refill::From;
use rusqlite::Connection;

use super::compare::Unseen;
use super::site::Site;
use super::table::{Key, Order, RowKey, Standing, Table};

/// An event; numbers select rows among those that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Insert(u8),
    Update(u8),
    /// Changes the row and not its cursor columns.
    UpdateUnseen(u8),
    ChangeKey(u8),
    HardDelete(u8),
    SoftDelete(u8),
    NullCursor(u8),
    Ahead(u8),
    Misfit(u8),
    /// A row that is committed long after its cursor value was passed.
    Late(u8),
    /// The core's owners correct cursors that are NULL, ahead or of another form.
    Repair,
    CopyCore,
    /// The copy replaces the core under the running agent.
    RestoreCore,
    DeleteStoreRows(u8),
    TruncateStore,
    CopyStore,
    RestoreStore,
    Refill,
    RefillFromStart,
    Resync,
    /// Other processes take over, and both databases are compared.
    Compare,
}

/// State that a history keeps between its events.
#[derive(Debug, Default)]
pub(super) struct Memory {
    keys: u32,
    versions: i64,
    /// Changes that the feed cannot see without a resynchronisation.
    pub(super) unseen: Unseen,
}

impl Memory {
    pub(super) async fn apply(&mut self, site: &mut Site, action: Action) {
        match action {
            Action::CopyCore => copy(site, "core"),
            Action::CopyStore => copy(site, "store"),
            Action::RestoreCore => {
                if restore_copy(site, "core") {
                    // An application that continues from what it finds.
                    let sql = "SELECT coalesce(max(version), 0) FROM item WHERE typeof(version) = 'integer' \
                               AND version < 9223372036854775807";
                    if site.table.order == Order::Version {
                        self.versions = site.core().query_row(sql, [], |row| row.get(0)).unwrap();
                    }
                }
            }
            Action::RestoreStore => {
                // As docs/faults.md requires: while no agent runs.
                site.stop().await;
                restore_copy(site, "store");
                site.start();
            }
            Action::TruncateStore => delete_at_store(site, "true"),
            Action::DeleteStoreRows(which) => {
                delete_at_store(site, &format!("rowid % 5 = {}", which % 5));
            }
            Action::Refill => {
                site.refill(From::Receipt).await;
            }
            Action::RefillFromStart => {
                site.refill(From::Start).await;
            }
            Action::Resync => {
                if site.resync().await {
                    self.unseen.resync_ordered();
                }
            }
            Action::Compare => {}
            _ => self.change(site.table, &site.core(), action),
        }
    }

    /// Changes the core as the application does, in one transaction.
    fn change(&mut self, table: Table, core: &Connection, action: Action) {
        let place = self.place(table);
        let order = table.order();
        let row = |which: u8| nth(table, core, which);
        let moved = match table.order {
            Order::Rowid => String::new(),
            _ => format!(", {order} = {place}"),
        };
        let run = |sql: &str| {
            let whole = format!("BEGIN IMMEDIATE; {sql}; COMMIT");
            core.execute_batch(&whole).unwrap();
        };
        let set = |which: u8, what: &str| {
            if let Some((_, rowid)) = row(which) {
                let moved = format!("UPDATE item SET {what}{moved} WHERE rowid = {rowid}");
                run(&format!("{moved}; {}", renumber(table, rowid)));
            }
        };
        match action {
            Action::Insert(note) => {
                self.insert(table, core, &place, note);
            }
            // The database assigns the row numbers.
            Action::Late(note) if table.order == Order::Rowid => {
                self.insert(table, core, &place, note);
            }
            Action::Late(note) => {
                let at = match table.order {
                    Order::Time => "strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour')".to_owned(),
                    _ => format!("-{}", self.versions),
                };
                let key = self.insert(table, core, &at, note);
                self.unseen.note(key);
            }
            Action::Update(which) => set(which, &format!("amount = amount + 1, note = 'u{which}'")),
            Action::SoftDelete(which) => set(which, "gone = 1"),
            Action::UpdateUnseen(which) => {
                if let Some((key, rowid)) = row(which) {
                    run(&format!("UPDATE item SET note = 'unseen' WHERE rowid = {rowid}"));
                    self.unseen.note(key);
                }
            }
            Action::HardDelete(which) => {
                if let Some((key, rowid)) = row(which) {
                    run(&format!("DELETE FROM item WHERE rowid = {rowid}"));
                    self.unseen.note(key);
                }
            }
            Action::ChangeKey(which) => {
                let Some((key, rowid)) = row(which) else { return };
                self.keys += 1;
                let (names, values) = (table.key().join(", "), table.new_key(self.keys));
                let renamed = format!("UPDATE item SET ({names}) = ({values}){moved} WHERE rowid = {rowid}");
                run(&format!("{renamed}; {}", renumber(table, rowid)));
                self.unseen.note(key);
            }
            Action::NullCursor(which) | Action::Ahead(which) | Action::Misfit(which) => {
                let value = match (action, table.order) {
                    (_, Order::Rowid) => return,
                    (Action::NullCursor(_), _) => "NULL",
                    (Action::Ahead(_), Order::Version) => "9223372036854775807",
                    (Action::Ahead(_), _) => "'2999-01-01 00:00:00.000'",
                    (_, Order::Version) => ["'n/a'", "7.5", "x'00ff'"][usize::from(which) % 3],
                    (_, _) => ["'2026-01-01T00:00:00.000Z'", "'1764410400'", "''"][usize::from(which) % 3],
                };
                if let Some((_, rowid)) = row(which) {
                    run(&format!(
                        "UPDATE item SET {order} = {value}, note = 'odd' WHERE rowid = {rowid}"
                    ));
                }
            }
            _ => self.repair(table, core),
        }
    }

    pub(super) fn repair(&mut self, table: Table, core: &Connection) {
        if table.order == Order::Rowid {
            return;
        }
        let rows = table.core_rows(core);
        for (key, _) in rows.iter().filter(|(_, row)| row.standing != Standing::Placed) {
            let sql = format!(
                "UPDATE item SET {} = {} WHERE {} = ?1",
                table.order(),
                self.place(table),
                Table::quoted(table.key())
            );
            core.execute(&sql, [&key.0]).unwrap();
        }
    }

    fn insert(&mut self, table: Table, core: &Connection, place: &str, note: u8) -> RowKey {
        self.keys += 1;
        let (names, values) = (table.key().join(", "), table.new_key(self.keys));
        let (order, place) = match table.order {
            Order::Rowid => (String::new(), String::new()),
            _ => (format!("{}, ", table.order()), format!("{place}, ")),
        };
        core.execute_batch(&format!(
            "INSERT INTO item ({order}{names}, note, amount) VALUES ({place}{values}, 'n{note}', {note})"
        ))
        .unwrap();
        let sql = format!(
            "SELECT {} FROM item WHERE rowid = last_insert_rowid()",
            Table::quoted(table.key())
        );
        RowKey(core.query_row(&sql, [], |row| row.get(0)).unwrap())
    }

    /// Returns the next cursor value, in SQL.
    fn place(&mut self, table: Table) -> String {
        self.versions += 1;
        match table.order {
            Order::Time => "strftime('%Y-%m-%d %H:%M:%f', 'now')".to_owned(),
            Order::Rowid | Order::Version => self.versions.to_string(),
        }
    }
}

/// Writes a changed row under a new number, in the same transaction.
fn renumber(table: Table, rowid: i64) -> String {
    if table.order != Order::Rowid {
        return String::new();
    }
    let columns = match table.key {
        Key::Integer => "id",
        Key::Text => "code",
        Key::Two => "branch, code",
    };
    let columns = format!("{columns}, note, amount, gone");
    format!(
        "CREATE TEMP TABLE moved AS SELECT {columns} FROM item WHERE rowid = {rowid}; DELETE FROM item WHERE rowid = {rowid}; \
         INSERT INTO item ({columns}) SELECT {columns} FROM moved; DROP TABLE moved"
    )
}

fn nth(table: Table, core: &Connection, which: u8) -> Option<(RowKey, i64)> {
    let count: i64 = core
        .query_row("SELECT count(*) FROM item", [], |row| row.get(0))
        .unwrap();
    if count == 0 {
        return None;
    }
    let sql = format!(
        "SELECT {}, rowid FROM item ORDER BY rowid LIMIT 1 OFFSET {}",
        Table::quoted(table.key()),
        i64::from(which) % count
    );
    let row = core.query_row(&sql, [], |row| Ok((RowKey(row.get(0)?), row.get(1)?)));
    Some(row.unwrap())
}

fn delete_at_store(site: &Site, condition: &str) {
    // Nothing was stored yet.
    let _ = site
        .store()
        .execute(&format!("DELETE FROM item WHERE {condition}"), []);
}

fn copy(site: &Site, end: &str) {
    let (from, to) = (site.path(&format!("{end}.db")), site.path(&format!("{end}.copy")));
    if from.exists() {
        let _ = fs::remove_file(&to);
        let connection = if end == "core" { site.core() } else { site.store() };
        connection
            .execute("VACUUM INTO ?1", [to.to_str().unwrap()])
            .unwrap();
    }
}

/// Restores a copy; returns whether there was one.
fn restore_copy(site: &Site, end: &str) -> bool {
    let copy = site.path(&format!("{end}.copy"));
    if !copy.exists() {
        return false;
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(site.path(&format!("{end}.db{suffix}")));
    }
    let new = site.path(&format!("{end}.new"));
    fs::copy(&copy, &new).unwrap();
    fs::rename(&new, site.path(&format!("{end}.db"))).unwrap();
    true
}
