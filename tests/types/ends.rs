//! Both ends of a pair, and whether they hold the same.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness::Db;
use rusqlite::Connection;

use super::eyes::{self, ODD, PLAIN, Seen, Texts};
use super::sqlite::{Fate, Rule};
use super::table::{Case, bare, column};
use super::{postgres, table};

/// Where core and store are, of whichever kind.
pub(crate) struct Ends {
    pub(crate) from_postgres: bool,
    pub(crate) to_postgres: bool,
    pub(crate) core: Db,
    pub(crate) insurer: Db,
    /// The folder of `core.db` and `store.db`.
    pub(crate) folder: PathBuf,
}

impl Ends {
    pub(super) fn file(&self, name: &str) -> Connection {
        Connection::open(self.folder.join(name)).unwrap()
    }

    /// Makes the table in the core.
    pub(crate) async fn make(&self, case: &Case) -> Result<(), String> {
        if self.from_postgres {
            let made = self.core.connect().await.batch_execute(&case.sql()).await;
            made.map_err(|error| format!("the test's own table: {:?}", error.as_db_error()))
        } else {
            let made = self.file("core.db").execute_batch(&case.sql());
            made.map_err(|error| format!("the test's own table: {error}"))
        }
    }

    /// Compares every value that could arrive, and that the others did not.
    pub(crate) async fn equal(&self, case: &Case) -> Result<(), String> {
        // A store makes a table for the first row that comes.
        if case.many(Fate::Rejected) == case.rows {
            return Ok(());
        }
        match (self.from_postgres, self.to_postgres) {
            (true, true) => self.both_postgres(case).await,
            (true, false) => self.postgres_to_sqlite(case).await,
            (false, true) => self.sqlite_to_postgres(case).await,
            (false, false) => self.both_sqlite(case),
        }
    }

    /// What did not arrive stands in the store's quarantine, each with its column.
    pub(crate) async fn kept_aside(&self, case: &Case) -> Result<(), String> {
        let sql = "SELECT row_number() OVER () AS id, coalesce(kind, 'row'), reason FROM";
        let only = format!("WHERE feed = '{}'", case.name());
        let rows: Vec<(String, String)> = if self.to_postgres {
            let sql = format!("{sql} slacktide.quarantine {only}");
            let rows = eyes::texts(&self.insurer.connect().await, PLAIN, &sql).await?;
            rows.into_values()
                .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()))
                .collect()
        } else {
            let file = self.file("store.db");
            let rows = eyes::values(&file, &format!("{sql} slacktide_quarantine {only}"))?;
            let text = |seen: &Seen| match seen {
                Seen::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}"),
            };
            rows.values().map(|row| (text(&row[0]), text(&row[1]))).collect()
        };
        let of = |kind: &str| rows.iter().filter(|(is, _)| is == kind).count();
        let wanted = (case.many(Fate::Rejected), case.many(Fate::NotAtPostgres));
        if (of("reject"), of("row")) != wanted {
            return Err(format!(
                "{wanted:?} rejects and rows were to be kept aside, and are {rows:?}"
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
        let types = eyes::types(&insurer, &case.name()).await;
        for place in &case.columns {
            let (name, kind) = (bare(&column(*place)), case.postgres_kind(*place));
            if types.get(&name).map(String::as_str) != Some(kind.there) {
                return Err(format!("{name} {} became {:?}", kind.declared, types.get(&name)));
            }
        }
        for settings in [PLAIN, ODD] {
            // As text a value keeps the form that it had on the wire.
            let kinds = case.columns.iter().filter(|place| {
                let kind = case.postgres_kind(**place);
                settings == PLAIN
                    || kind.there != "text"
                    || kind.declared.contains("char")
                    || kind.declared == "text"
            });
            let places: Vec<usize> = kinds.copied().collect();
            let here = eyes::texts(&core, settings, &select(case, &places, true)).await?;
            let there = eyes::texts(&insurer, settings, &select(case, &places, false)).await?;
            all_there(case, &there)?;
            for (id, row) in &here {
                for ((place, here), there) in places.iter().zip(row).zip(&there[id]) {
                    if here != there {
                        return Err(differ(case, *id, *place, here, there));
                    }
                }
            }
            keys(&here, &there, places.len())?;
        }
        Ok(())
    }

    async fn postgres_to_sqlite(&self, case: &Case) -> Result<(), String> {
        let core = self.core.connect().await;
        let here = eyes::texts(&core, PLAIN, &select(case, &case.columns, true)).await?;
        let there = eyes::values(&self.file("store.db"), &select(case, &case.columns, false))?;
        all_there(case, &there)?;
        for (id, row) in &here {
            for ((place, here), there) in case.columns.iter().zip(row).zip(&there[id]) {
                let kind = case.postgres_kind(*place);
                let wide = here
                    .as_ref()
                    .filter(|_| kind.declared == "real")
                    .map(|text| eyes::widened(text));
                if !eyes::kept(kind.rule, wide.as_deref().or(here.as_deref()), there) {
                    return Err(differ(case, *id, *place, here, there));
                }
            }
        }
        Ok(())
    }

    async fn sqlite_to_postgres(&self, case: &Case) -> Result<(), String> {
        let insurer = self.insurer.connect().await;
        let types = eyes::types(&insurer, &case.name()).await;
        let here = eyes::values(&self.file("core.db"), &select(case, &case.columns, false))?;
        let there = eyes::texts(&insurer, PLAIN, &select(case, &case.columns, false)).await?;
        all_there(case, &there)?;
        let mut read = BTreeMap::new();
        for (id, there) in &there {
            for ((place, here), there) in case.columns.iter().zip(&here[id]).zip(there) {
                let (name, kind) = (bare(&column(*place)), case.sqlite_kind(*place));
                if types.get(&name).map(String::as_str) != Some(kind.there) {
                    return Err(format!("{name} {} became {:?}", kind.declared, types.get(&name)));
                }
                let mut time = None;
                if let (Rule::Time(kind), Seen::Text(text)) = (kind.rule, here) {
                    let sql = format!(
                        "SELECT 0, {}::{kind}",
                        super::chance::quoted(&String::from_utf8_lossy(text))
                    );
                    if !read.contains_key(&sql) {
                        let told = eyes::texts(&insurer, PLAIN, &sql).await?;
                        read.insert(sql.clone(), told[&0][0].clone());
                    }
                    time = read[&sql].clone();
                }
                if !eyes::arrived(kind.rule, here, there.as_deref(), time.as_deref()) {
                    return Err(differ(case, *id, *place, here, there));
                }
            }
        }
        Ok(())
    }

    fn both_sqlite(&self, case: &Case) -> Result<(), String> {
        let here = eyes::values(&self.file("core.db"), &select(case, &case.columns, false))?;
        let there = eyes::values(&self.file("store.db"), &select(case, &case.columns, false))?;
        all_there(case, &there)?;
        for (id, there) in &there {
            for ((place, here), there) in case.columns.iter().zip(&here[id]).zip(there) {
                if !eyes::same(case.sqlite_kind(*place).rule, here, there) {
                    return Err(differ(case, *id, *place, here, there));
                }
            }
        }
        Ok(())
    }
}

/// Every row that can arrive did, and no other.
fn all_there<T>(case: &Case, there: &BTreeMap<i64, T>) -> Result<(), String> {
    let wanted = (0..case.rows).filter(|row| case.fate(*row) == Fate::Carried);
    let wanted: Vec<i64> = wanted.map(|row| i64::try_from(row).unwrap()).collect();
    let got: Vec<i64> = there.keys().copied().collect();
    if got == wanted {
        Ok(())
    } else {
        Err(format!("of the rows {wanted:?} there are {got:?}"))
    }
}

/// Keys are compared as texts too, beside the columns.
fn keys(here: &Texts, there: &Texts, width: usize) -> Result<(), String> {
    let key = |rows: &Texts| -> Vec<Vec<Option<String>>> {
        rows.values().map(|row| row[width..].to_vec()).collect()
    };
    if key(here) == key(there) {
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

fn differ(
    case: &Case,
    id: i64,
    place: usize,
    here: &dyn std::fmt::Debug,
    there: &dyn std::fmt::Debug,
) -> String {
    let declared = if case.from_postgres {
        case.postgres_kind(place).declared
    } else {
        case.sqlite_kind(place).declared
    };
    let (here, there) = (format!("{here:?}"), format!("{there:?}"));
    format!(
        "{} {declared:?} of row {id}: {:.300} became {:.300}",
        table::column(place),
        here,
        there
    )
}
