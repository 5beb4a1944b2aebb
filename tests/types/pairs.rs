//! Hundreds of generated tables, from every kind of core to every kind of store.
//!
//! A failure names its seed; it is made as small as columns and rows can be left out, and tried again with
//! `SLACKTIDE_TYPES_SEED`. `SLACKTIDE_TYPES_TABLES` says how many tables; more than the suite's find more.

use gate::Gate;
use harness::Postgres;
use rusqlite::Connection;
use source::{PostgresConfig, PostgresSource, Source, SqliteConfig, SqliteSource};
use store::{PostgresStore, SqliteStore, Store};
use tempfile::TempDir;

use super::ends::Ends;
use super::pipe::{Moved, moved};
use super::postgres;
use super::sqlite::Fate;
use super::table::{Case, bare};

const TABLES: u64 = 60;

/// Two databases of one pair; each table is new in both.
struct Pair {
    ends: Ends,
    _dir: TempDir,
    source: Box<dyn Source>,
    store: Box<dyn Store>,
}

impl Pair {
    async fn new(from_postgres: bool, to_postgres: bool) -> Self {
        let server = Postgres::shared().await;
        let (core, insurer) = (server.database("types").await, server.database("types").await);
        core.execute(postgres::SETUP).await;
        insurer.execute(postgres::THERE).await;
        let dir = tempfile::tempdir().unwrap();
        let flag = Gate::fixed_open().shut_flag();
        let source: Box<dyn Source> = if from_postgres {
            let mut config = PostgresConfig::new(&core.url);
            config.allow_writable_account = true;
            config.statement_timeout = std::time::Duration::from_secs(60);
            Box::new(PostgresSource::new(config, flag).unwrap())
        } else {
            let path = dir.path().join("core.db");
            let file = Connection::open(&path).unwrap();
            file.pragma_update(None, "journal_mode", "wal").unwrap();
            Box::new(SqliteSource::new(SqliteConfig::new(path), flag).unwrap())
        };
        let store: Box<dyn Store> = if to_postgres {
            Box::new(PostgresStore::new(&insurer.url, "public").unwrap())
        } else {
            Box::new(SqliteStore::new(dir.path().join("store.db")))
        };
        store.prepare().await.unwrap();
        Self {
            ends: Ends {
                from_postgres,
                to_postgres,
                core,
                insurer,
                folder: dir.path().to_owned(),
            },
            _dir: dir,
            source,
            store,
        }
    }

    /// Makes, moves and compares one table.
    async fn holds(&self, case: &Case) -> Result<(), String> {
        self.ends.make(case).await?;
        let moved = moved(case, self.source.as_ref(), self.store.as_ref()).await;
        let compared = match moved {
            Ok(moved) => match counted(case, &moved) {
                Ok(()) => match self.ends.kept_aside(case).await {
                    Ok(()) => self.ends.equal(case).await,
                    wrong => wrong,
                },
                wrong => wrong,
            },
            Err(error) => Err(error),
        };
        // Hundreds of tables would make each look into the catalogue slower.
        let gone = format!("DROP TABLE {}", case.name());
        if self.ends.from_postgres {
            self.ends.core.execute(&gone).await;
        }
        compared
    }
}

/// What was told of rows, rejects and rows kept aside is what the values ask for.
fn counted(case: &Case, moved: &Moved) -> Result<(), String> {
    let (rejected, refused) = (case.many(Fate::Rejected), case.many(Fate::NotAtPostgres));
    let told = (moved.rejects.len(), usize::try_from(moved.quarantined).unwrap());
    if told != (rejected, refused) || usize::try_from(moved.rows).unwrap() + rejected != case.rows {
        return Err(format!(
            "{rejected} rejects and {refused} rows kept aside were to be, told is {moved:?}"
        ));
    }
    let faults: Vec<Vec<String>> = (0..case.rows)
        .filter(|row| case.fate(*row) == Fate::Rejected)
        .map(|row| case.faults(row))
        .collect();
    for reject in &moved.rejects {
        let name = reject.column.clone().unwrap_or_default();
        if reject.reason.is_empty() || !faults.iter().flatten().any(|fault| bare(fault) == name) {
            return Err(format!("a reject names another column: {reject:?} of {faults:?}"));
        }
    }
    Ok(())
}

/// Leaves out what the failure does without.
async fn smallest(pair: &Pair, case: &Case, found: String) -> (Case, String) {
    let (mut least, mut why) = (case.clone(), found);
    let mut tries = Vec::new();
    for place in &case.columns {
        tries.push(Case {
            columns: vec![*place],
            ..case.clone()
        });
    }
    for smaller in tries {
        if let Err(error) = pair.holds(&smaller).await {
            (least, why) = (smaller, error);
            break;
        }
    }
    while least.rows > 1 {
        let smaller = Case {
            rows: least.rows / 2,
            ..least.clone()
        };
        match pair.holds(&smaller).await {
            Err(error) => (least, why) = (smaller, error),
            Ok(()) => break,
        }
    }
    (least, why)
}

async fn pair(from_postgres: bool, to_postgres: bool) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let pair = Pair::new(from_postgres, to_postgres).await;
    let seeds = match number("SLACKTIDE_TYPES_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SLACKTIDE_TYPES_TABLES").unwrap_or(TABLES),
    };
    for seed in seeds {
        let case = Case::new(from_postgres, to_postgres, seed);
        let Err(why) = pair.holds(&case).await else {
            continue;
        };
        let (least, less) = smallest(&pair, &case, why.clone()).await;
        panic!(
            "seed {seed}: {why}\nsmallest: columns {:?}, {} rows: {less}\n{:.3000}\nagain with SLACKTIDE_TYPES_SEED={seed}",
            least.columns,
            least.rows,
            least.sql()
        );
    }
    pair.source.close().await;
    pair.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_tables_from_postgres_to_postgres() {
    pair(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_tables_from_postgres_to_sqlite() {
    pair(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_tables_from_sqlite_to_postgres() {
    pair(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_tables_from_sqlite_to_sqlite() {
    pair(false, false).await;
}
