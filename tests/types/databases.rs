//! Core and store of a pair, and their comparison.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness::Db;
use rusqlite::Connection;

use super::reader::{self, ODD, PLAIN, StoredValue, Texts};
use super::sqlite::{Fate, Rule};
use super::table::{Case, bare, column};
use super::{postgres, table};

/// A core and a store, of either kind.
pub(crate) struct Databases {
    pub(crate) from_postgres: bool,
    pub(crate) to_postgres: bool,
    pub(crate) core: Db,
    pub(crate) insurer: Db,
    /// The folder of `core.db` and `store.db`.
    pub(crate) folder: PathBuf,
}

impl Databases {
    pub(super) fn file(&self, name: &str) -> Connection {
        Connection::open(self.folder.join(name)).unwrap()
    }

    pub(crate) async fn create(&self, case: &Case) -> Result<(), String> {
        if self.from_postgres {
            let made = self.core.connect().await.batch_execute(&case.sql()).await;
            made.map_err(|error| format!("the test's own table: {:?}", error.as_db_error()))
        } else {
            let made = self.file("core.db").execute_batch(&case.sql());
            made.map_err(|error| format!("the test's own table: {error}"))
        }
    }

    /// Compares every value that could arrive, and checks that the others did not.
    pub(crate) async fn check_equal(&self, case: &Case) -> Result<(), String> {
        // A store creates a table for its first row.
        if case.count_with(Fate::Rejected) == case.rows {
            return Ok(());
        }
        match (self.from_postgres, self.to_postgres) {
            (true, true) => self.both_postgres(case).await,
            (true, false) => self.postgres_to_sqlite(case).await,
            (false, true) => self.sqlite_to_postgres(case).await,
            (false, false) => self.both_sqlite(case),
        }
    }

    /// Checks that the store's quarantine holds each row that did not arrive, with its column.
    pub(crate) async fn check_quarantine(&self, case: &Case) -> Result<(), String> {
        let sql = "SELECT row_number() OVER () AS id, coalesce(kind, 'row'), reason FROM";
        let only = format!("WHERE feed = '{}'", case.name());
        let rows: Vec<(String, String)> = if self.to_postgres {
            let sql = format!("{sql} slacktide.quarantine {only}");
            let rows = reader::texts(&self.insurer.connect().await, PLAIN, &sql).await?;
            rows.into_values()
                .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
                .collect()
        } else {
            let file = self.file("store.db");
            let rows = reader::values(&file, &format!("{sql} slacktide_quarantine {only}"))?;
            let text = |seen: &StoredValue| match seen {
                StoredValue::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            };
            rows.values().map(|row| (text(&row[0]), text(&row[1]))).collect()
        };
        let count_kind = |kind: &str| rows.iter().filter(|(found, _)| found == kind).count();
        let wanted = (
            case.count_with(Fate::Rejected),
            case.count_with(Fate::NotAtPostgres),
        );
        if (count_kind("reject"), count_kind("row")) != wanted {
            return Err(format!(
                "expected {wanted:?} quarantined rejects and rows, found {rows:?}"
            ));
        }
        for row in (0..case.rows).filter(|row| case.fate(*row) == Fate::NotAtPostgres) {
            let faults = case.faults(row);
            let named = |reason: &String| {
                faults
                    .iter()
                    .any(|name| reason.contains(&format!("{:?}", bare(name))))
            };
            if !rows.iter().any(|(_, reason)| named(reason)) {
                return Err(format!("no reason names one of {faults:?}: {rows:?}"));
            }
        }
        Ok(())
    }

    async fn both_postgres(&self, case: &Case) -> Result<(), String> {
        let (core, insurer) = (self.core.connect().await, self.insurer.connect().await);
        let types = reader::types(&insurer, &case.name()).await;
        for place in &case.columns {
            let (name, kind) = (bare(&column(*place)), case.postgres_kind(*place));
            if types.get(&name).map(String::as_str) != Some(kind.store_type) {
                return Err(format!("{name} {} became {:?}", kind.declared, types.get(&name)));
            }
        }
        for settings in [PLAIN, ODD] {
            // As text a value keeps the form that it had on the wire.
            let kinds = case.columns.iter().filter(|place| {
                let kind = case.postgres_kind(**place);
                settings == PLAIN
                    || kind.store_type != "text"
                    || kind.declared.contains("char")
                    || kind.declared == "text"
            });
            let places: Vec<usize> = kinds.copied().collect();
            let in_core = reader::texts(&core, settings, &select(case, &places, true)).await?;
            let in_store = reader::texts(&insurer, settings, &select(case, &places, false)).await?;
            check_all_arrived(case, &in_store)?;
            for (id, row) in &in_core {
                for ((place, in_core), in_store) in places.iter().zip(row).zip(&in_store[id]) {
                    if in_core != in_store {
                        return Err(difference(case, *id, *place, in_core, in_store));
                    }
                }
            }
            check_keys_equal(&in_core, &in_store, places.len())?;
        }
        Ok(())
    }

    async fn postgres_to_sqlite(&self, case: &Case) -> Result<(), String> {
        let core = self.core.connect().await;
        let in_core = reader::texts(&core, PLAIN, &select(case, &case.columns, true)).await?;
        let in_store = reader::values(&self.file("store.db"), &select(case, &case.columns, false))?;
        check_all_arrived(case, &in_store)?;
        for (id, row) in &in_core {
            for ((place, in_core), in_store) in case.columns.iter().zip(row).zip(&in_store[id]) {
                let kind = case.postgres_kind(*place);
                let wide = in_core
                    .as_ref()
                    .filter(|_| kind.declared == "real")
                    .map(|text| reader::widened(text));
                if !reader::is_kept(kind.rule, wide.as_deref().or(in_core.as_deref()), in_store) {
                    return Err(difference(case, *id, *place, in_core, in_store));
                }
            }
        }
        Ok(())
    }

    async fn sqlite_to_postgres(&self, case: &Case) -> Result<(), String> {
        let insurer = self.insurer.connect().await;
        let types = reader::types(&insurer, &case.name()).await;
        let in_core = reader::values(&self.file("core.db"), &select(case, &case.columns, false))?;
        let in_store = reader::texts(&insurer, PLAIN, &select(case, &case.columns, false)).await?;
        check_all_arrived(case, &in_store)?;
        let mut read = BTreeMap::new();
        for (id, in_store) in &in_store {
            for ((place, in_core), in_store) in case.columns.iter().zip(&in_core[id]).zip(in_store) {
                let (name, kind) = (bare(&column(*place)), case.sqlite_kind(*place));
                if types.get(&name).map(String::as_str) != Some(kind.store_type) {
                    return Err(format!("{name} {} became {:?}", kind.declared, types.get(&name)));
                }
                let mut time = None;
                if let (Rule::Time(kind), StoredValue::Text(text)) = (kind.rule, in_core) {
                    let sql = format!(
                        "SELECT 0, {}::{kind}",
                        super::rng::quoted(&String::from_utf8_lossy(text))
                    );
                    if !read.contains_key(&sql) {
                        let output = reader::texts(&insurer, PLAIN, &sql).await?;
                        read.insert(sql.clone(), output[&0][0].clone());
                    }
                    time = read[&sql].clone();
                }
                if !reader::has_arrived(kind.rule, in_core, in_store.as_deref(), time.as_deref()) {
                    return Err(difference(case, *id, *place, in_core, in_store));
                }
            }
        }
        Ok(())
    }

    fn both_sqlite(&self, case: &Case) -> Result<(), String> {
        let in_core = reader::values(&self.file("core.db"), &select(case, &case.columns, false))?;
        let in_store = reader::values(&self.file("store.db"), &select(case, &case.columns, false))?;
        check_all_arrived(case, &in_store)?;
        for (id, in_store) in &in_store {
            for ((place, in_core), in_store) in case.columns.iter().zip(&in_core[id]).zip(in_store) {
                if !reader::is_same(case.sqlite_kind(*place).rule, in_core, in_store) {
                    return Err(difference(case, *id, *place, in_core, in_store));
                }
            }
        }
        Ok(())
    }
}

/// Checks that exactly the rows that can arrive have arrived.
fn check_all_arrived<T>(case: &Case, in_store: &BTreeMap<i64, T>) -> Result<(), String> {
    let wanted = (0..case.rows).filter(|row| case.fate(*row) == Fate::Carried);
    let wanted: Vec<i64> = wanted.map(|row| i64::try_from(row).unwrap()).collect();
    let got: Vec<i64> = in_store.keys().copied().collect();
    if got == wanted {
        Ok(())
    } else {
        Err(format!("expected rows {wanted:?}, found {got:?}"))
    }
}

/// Compares keys as texts, in addition to the columns.
fn check_keys_equal(in_core: &Texts, in_store: &Texts, width: usize) -> Result<(), String> {
    let key = |rows: &Texts| -> Vec<Vec<Option<String>>> {
        rows.values().map(|row| row[width..].to_vec()).collect()
    };
    if key(in_core) == key(in_store) {
        Ok(())
    } else {
        Err("keys differ".to_owned())
    }
}

fn select(case: &Case, places: &[usize], cast: bool) -> String {
    let one = |place: &usize| match case.from_postgres.then(|| case.postgres_kind(*place).rule) {
        Some(postgres::Rule::As(kind)) if cast => format!("{}::{kind}", column(*place)),
        _ => column(*place),
    };
    let mut columns = vec!["id".to_owned()];
    columns.extend(places.iter().map(one));
    columns.extend(case.key_names());
    format!("SELECT {} FROM {} ORDER BY id", columns.join(", "), case.name())
}

fn difference(
    case: &Case,
    id: i64,
    place: usize,
    in_core: &dyn std::fmt::Debug,
    in_store: &dyn std::fmt::Debug,
) -> String {
    let declared = if case.from_postgres {
        case.postgres_kind(place).declared
    } else {
        case.sqlite_kind(place).declared
    };
    let (in_core, in_store) = (format!("{in_core:?}"), format!("{in_store:?}"));
    format!(
        "{} {declared:?} of row {id}: {:.300} became {:.300}",
        table::column(place),
        in_core,
        in_store
    )
}
