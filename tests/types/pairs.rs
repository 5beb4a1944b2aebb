//! Hundreds of generated tables, from every kind of core to every kind of store.
//!
//! A failure names its seed and is reduced by leaving out columns and rows; `SLACKTIDE_TYPES_SEED` runs it again.
//! `SLACKTIDE_TYPES_TABLES` sets the number of tables; more tables find more.

use gate::Gate;
use harness::Postgres;
use rusqlite::Connection;
use schemas::name::Lane;
use source::{PostgresConfig, PostgresSource, Source, SqliteConfig, SqliteSource};
use store::{PostgresStore, SqliteStore, StoredRows};
use tempfile::TempDir;

use super::databases::Databases;
use super::digests;
use super::pipeline::{Moved, move_table};
use super::postgres;
use super::sqlite::Fate;
use super::table::{Case, bare};

const TABLES: u64 = 60;

/// The databases of one pair; each table is new in both.
struct Pair {
    databases: Databases,
    _dir: TempDir,
    source: Box<dyn Source>,
    store: Box<dyn StoredRows>,
}

impl Pair {
    async fn new(from_postgres: bool, to_postgres: bool) -> Self {
        let server = Postgres::shared().await;
        let (core, insurer) = (server.database("types").await, server.database("types").await);
        core.execute(postgres::CORE_SETUP).await;
        insurer.execute(postgres::STORE_SETUP).await;
        let dir = tempfile::tempdir().unwrap();
        let flag = Gate::fixed_open().closed_flag();
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
        let store: Box<dyn StoredRows> = if to_postgres {
            Box::new(PostgresStore::new(&insurer.url, "public").unwrap())
        } else {
            Box::new(SqliteStore::new(dir.path().join("store.db")))
        };
        store.prepare().await.unwrap();
        Self {
            databases: Databases {
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

    /// Creates, moves and compares one table.
    async fn check(&self, case: &Case) -> Result<(), String> {
        self.databases.create(case).await?;
        let moved = move_table(case, self.source.as_ref(), self.store.as_ref()).await;
        let compared = match moved {
            Ok(moved) => match check_counts(case, &moved) {
                Ok(()) => match self.databases.check_quarantine(case).await {
                    Ok(()) => match self.databases.check_equal(case).await {
                        Ok(()) => self.check_digests(case, &moved).await,
                        wrong => wrong,
                    },
                    wrong => wrong,
                },
                wrong => wrong,
            },
            Err(error) => Err(error),
        };
        // Hundreds of tables would make each catalogue query slower.
        let gone = format!("DROP TABLE {}", case.name());
        if self.databases.from_postgres {
            self.databases.core.execute(&gone).await;
        }
        compared
    }
}

impl Pair {
    /// Checks that the store's rows have the digests of the published ones.
    async fn check_digests(&self, case: &Case, moved: &Moved) -> Result<(), String> {
        // A SQLite core may hold spellings that PostgreSQL prints otherwise: docs/reconcile.md.
        if self.databases.to_postgres && !self.databases.from_postgres {
            return Ok(());
        }
        let lane = Lane {
            recipient: "insurer-a".parse().unwrap(),
            feed: case.name().parse().unwrap(),
        };
        digests::check_equal(self.store.as_ref(), &lane, &moved.digests, moved.quarantined).await
    }
}

/// Checks the reported counts of rows, rejects and quarantined rows against those that the values require.
fn check_counts(case: &Case, moved: &Moved) -> Result<(), String> {
    let (rejected, refused) = (
        case.count_with(Fate::Rejected),
        case.count_with(Fate::NotAtPostgres),
    );
    let output = (moved.rejects.len(), usize::try_from(moved.quarantined).unwrap());
    if output != (rejected, refused) || usize::try_from(moved.rows).unwrap() + rejected != case.rows {
        return Err(format!(
            "expected {rejected} rejects and {refused} quarantined rows, reported {moved:?}"
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

/// Leaves out columns and rows that the failure does not need.
async fn reduce(pair: &Pair, case: &Case, found: String) -> (Case, String) {
    let (mut least, mut why) = (case.clone(), found);
    let mut tries = Vec::new();
    for place in &case.columns {
        tries.push(Case {
            columns: vec![*place],
            ..case.clone()
        });
    }
    for smaller in tries {
        if let Err(error) = pair.check(&smaller).await {
            (least, why) = (smaller, error);
            break;
        }
    }
    while least.rows > 1 {
        let smaller = Case {
            rows: least.rows / 2,
            ..least.clone()
        };
        match pair.check(&smaller).await {
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
        let Err(why) = pair.check(&case).await else {
            continue;
        };
        let (least, less) = reduce(&pair, &case, why.clone()).await;
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
