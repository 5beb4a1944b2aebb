//! Names and their expected verdicts; and random names, which must never reach an object of others.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use schemas::column::{ColumnType, RowSchema};
use schemas::name::{FeedName, Lane};

use super::*;
use crate::chunk_number::ChunkNumber;
use crate::layout::{FeedOptions, Mode, Options};
use crate::table::column_names::columns;
use crate::table::shape::Shape;
use store_testing::samples::{self, lane};

const BOTH: [Database; 2] = [Database::Postgres, Database::Sqlite];

/// Every bookkeeping table with its SQLite name; PostgreSQL has them in a separate schema.
const BOOKKEEPING: [&str; 11] = [
    "slacktide_lanes",
    "slacktide_ledger",
    "slacktide_quarantine",
    "slacktide_quarantine_manifests",
    "slacktide_tombstones",
    "slacktide_changes",
    "slacktide_tables",
    "slacktide_outbox",
    "slacktide_requests",
    "slacktide_replies",
    "slacktide_answers_refused",
];

fn feed(name: &str) -> Lane {
    Lane {
        feed: FeedName::new(name).unwrap(),
        ..lane()
    }
}

fn options(name: &str, own: FeedOptions) -> Options {
    Options {
        mode: Mode::Both,
        feeds: BTreeMap::from([(FeedName::new(name).unwrap(), own)]),
        ..Options::default()
    }
}

fn columns_of(names: &[&str]) -> RowSchema {
    let columns: Vec<(&str, ColumnType)> = names.iter().map(|name| (*name, ColumnType::Int8)).collect();
    samples::schema(&names[..1], &columns)
}

#[test]
fn naming_reserved_feed_name_is_refused_with_its_key() {
    for name in BOOKKEEPING
        .iter()
        .chain(&["slacktide", "sqlite_master", "sqlite_sequence", "pg_class"])
    {
        for database in BOTH {
            let refusal = verdict(&Options::default().tables(database, &feed(name))).unwrap_err();
            assert!(refusal.what.contains(name), "{refusal}");
            assert!(
                refusal.remedy.contains(&format!("[store.feed.{name}]")),
                "{refusal}"
            );
            // Under another name it is an ordinary feed.
            let own = FeedOptions {
                table: Some("harmless".into()),
                ..FeedOptions::default()
            };
            assert_eq!(verdict(&options(name, own).tables(database, &feed(name))), Ok(()));
        }
    }
    for name in [
        "setl",
        "a_history",
        "slacktidal",
        "pgs",
        "sqlite",
        &"a".repeat(63),
    ] {
        assert_eq!(
            verdict(&Options::default().tables(Database::Sqlite, &feed(name))),
            Ok(()),
            "{name}"
        );
    }
}

#[test]
fn naming_configured_names_are_checked_like_feed_names() {
    let long = "t".repeat(64);
    for name in [
        "Slacktide_Outbox",
        "SLACKTIDE_REQUESTS",
        "_slacktide_x",
        "Sqlite_Master",
        "PG_TEMP",
        "main.slacktide_outbox",
        "temp.setl",
        "public.setl",
        " setl",
        "setl\u{0}",
        "",
        &long,
    ] {
        assert!(table(name).is_err() && schema(name).is_err(), "{name:?}");
        for (table, history, schema) in [
            (Some(name), None, None),
            (None, Some(name), None),
            (None, None, Some(name)),
        ] {
            let own = FeedOptions {
                table: table.map(str::to_owned),
                history: history.map(str::to_owned),
                schema: schema.map(str::to_owned),
                ..FeedOptions::default()
            };
            let tables = options("setl", own).tables(Database::Postgres, &lane());
            assert!(verdict(&tables).is_err(), "{name:?}: {:?}", tables.layout);
        }
    }
    for name in [
        "slacktide",
        "Slacktide",
        "pg_catalog",
        "pg_toast",
        "information_schema",
    ] {
        assert!(schema(name).is_err(), "{name}");
    }
    assert_eq!(table("Wide all"), Ok(()));
}

#[test]
fn naming_reserved_column_is_refused() {
    let reserved = [
        "_slacktide_epoch",
        "_SLACKTIDE_number",
        "_slacktide",
        "_slacktide_request",
        "ctid",
        "xmin",
        "XMAX",
        "cmin",
        "cmax",
        "tableoid",
        "oid",
        "rowid",
        "_rowid_",
    ];
    for name in reserved {
        for database in BOTH {
            let given = columns_of(&["id", name]);
            let tables = Options::default().tables(database, &lane());
            let refusal = columns(&tables, None, &given).unwrap_err();
            assert!(refusal.what.contains(name), "{refusal}");
            assert!(refusal.remedy.contains("columns = {"), "{refusal}");
            let own = |to: &str| FeedOptions {
                columns: BTreeMap::from([(name.to_owned(), to.to_owned())]),
                ..FeedOptions::default()
            };
            let tables = options("setl", own("other")).tables(database, &lane());
            assert_eq!(columns(&tables, None, &given), Ok(()), "{name}");
            // A mapped name is checked like a name.
            let own = FeedOptions {
                columns: BTreeMap::from([("id".to_owned(), name.to_owned())]),
                ..FeedOptions::default()
            };
            let tables = options("setl", own).tables(database, &lane());
            assert!(columns(&tables, None, &columns_of(&["id"])).is_err(), "{name}");
        }
    }
}

#[test]
fn naming_columns_with_equal_names_are_refused() {
    let tables = |database| Options::default().tables(database, &lane());
    let cased = columns_of(&["id", "Paid", "paid"]);
    assert!(columns(&tables(Database::Sqlite), None, &cased).is_err());
    assert_eq!(columns(&tables(Database::Postgres), None, &cased), Ok(()));
    let (one, other) = (format!("{}x", "c".repeat(63)), format!("{}y", "c".repeat(63)));
    assert!(
        columns(
            &tables(Database::Postgres),
            None,
            &columns_of(&["id", &one, &other])
        )
        .is_err()
    );
    // Also a later one, and one whose name was given to another.
    let first = columns_of(&["id", "paid"]);
    let shape = Shape::first(&first, ChunkNumber::BEGINNING, &tables(Database::Sqlite).layout);
    assert!(
        columns(
            &tables(Database::Sqlite),
            Some(&shape),
            &columns_of(&["id", "PAID"])
        )
        .is_err()
    );
    assert_eq!(columns(&tables(Database::Sqlite), Some(&shape), &first), Ok(()));
    let own = FeedOptions {
        columns: BTreeMap::from([("sum".to_owned(), "paid".to_owned())]),
        ..FeedOptions::default()
    };
    let mapped = options("setl", own).tables(Database::Postgres, &lane());
    assert!(columns(&mapped, None, &columns_of(&["id", "paid", "sum"])).is_err());
}

#[test]
fn naming_unlisted_feed_waits_under_any_name() {
    let only = |name: &str| Options {
        only: Some(BTreeSet::from([FeedName::new(name).unwrap()])),
        ..Options::default()
    };
    assert_eq!(verdict(&only("setl").tables(Database::Sqlite, &lane())), Ok(()));
    let refusal = verdict(&only("visit").tables(Database::Sqlite, &lane())).unwrap_err();
    assert!(
        refusal.what.contains("setl") && refusal.what.contains("[commercial]"),
        "{refusal}"
    );
}

#[test]
fn naming_shared_refusal_has_no_database_name() {
    let own = FeedOptions {
        table: Some("pg_secret_here".into()),
        schema: Some("hidden_schema".into()),
        ..FeedOptions::default()
    };
    let refusal = verdict(&options("setl", own).tables(Database::Postgres, &lane())).unwrap_err();
    assert!(refusal.what.contains("pg_secret_here"), "{refusal}");
    assert!(
        !refusal.shared.contains("secret") && !refusal.shared.contains("hidden"),
        "{}",
        refusal.shared
    );
}

/// Prefixes and suffixes that are likely to cause mistakes.
fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("slacktide".to_owned()),
        Just("SlackTide_".to_owned()),
        Just("_slacktide".to_owned()),
        Just("sqlite_".to_owned()),
        Just("PG_".to_owned()),
        Just("outbox".to_owned()),
        Just("_history".to_owned()),
        Just(".".to_owned()),
        Just("\"".to_owned()),
        Just("xmin".to_owned()),
        Just("\u{212a}".to_owned()),
        "[a-zA-Z_ .\\-\"]{0,8}",
        "[a-z]{50,70}",
    ];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

proptest! {
    /// No accepted name equals a reserved name in any database.
    #[test]
    fn naming_accepted_name_is_never_reserved(name in any_name()) {
        if table(&name).is_ok() {
            let lower = name.to_ascii_lowercase();
            prop_assert!(!BOOKKEEPING.contains(&lower.as_str()));
            prop_assert!(!lower.starts_with("slacktide_") && !lower.starts_with("_slacktide") && lower != "slacktide");
            prop_assert!(!lower.starts_with("sqlite_") && !lower.starts_with("pg_"));
            prop_assert!(name.len() <= 63 && !name.contains('.'));
        }
        if column(&name).is_ok() {
            let lower = name.to_ascii_lowercase();
            prop_assert!(!lower.starts_with("_slacktide") && !SYSTEM.contains(&lower.as_str()));
            prop_assert!(name.len() <= 63);
        }
    }

    /// Accepted columns stay distinct in the database.
    #[test]
    fn naming_accepted_columns_stay_distinct(names in proptest::collection::btree_set(any_name(), 1..6)) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for database in BOTH {
            let tables = Options::default().tables(database, &lane());
            if columns(&tables, None, &columns_of(&names)).is_ok() {
                let cut = |name: &&str| folded(database, &name.chars().take(63).collect::<String>());
                let kept: BTreeSet<String> = names.iter().map(cut).collect();
                prop_assert_eq!(kept.len(), names.len());
            }
        }
    }
}
