//! The database: the business's tables and the table that is extracted, all in memory.

use std::path::{Path, PathBuf};

use harness::{Db, Postgres, PostgresOptions};
use tempfile::TempDir;

use crate::Outcome;

/// Everything that stands while the bench runs.
pub(crate) struct Rig {
    /// The cluster; ended with this.
    _server: Postgres,
    /// The business's database, which holds the extracted table too.
    pub(crate) core: Db,
    /// Reads the extracted table, and may do nothing else.
    pub(crate) reader: String,
    /// The program of the business.
    pub(crate) pgbench: PathBuf,
    /// The release build of `slacktide`, where it takes part.
    pub(crate) binary: Option<PathBuf>,
    folder: TempDir,
}

/// Settlements of some 300 bytes.
const TABLE: &str = "CREATE TABLE setl (
    setl_id bigint PRIMARY KEY,
    updt_time timestamptz NOT NULL,
    mdtrt_id text NOT NULL,
    psn_no text NOT NULL,
    insutype text NOT NULL,
    fixmedins_code text NOT NULL,
    fixmedins_name text NOT NULL,
    dept_name text NOT NULL,
    begndate date NOT NULL,
    med_type text NOT NULL,
    medfee_sumamt numeric(16,2) NOT NULL,
    hifp_pay numeric(16,2) NOT NULL,
    psn_cash_pay numeric(16,2) NOT NULL,
    dise_codg text,
    dise_name text,
    refd boolean NOT NULL
)";

const FILL: &str = "INSERT INTO setl
SELECT n, timestamptz '2026-01-01 00:00:00+00' + n * interval '1 ms',
    'M' || md5(n::text), 'P' || lpad((n * 7919 % 10000000)::text, 19, '0'),
    CASE WHEN n % 3 = 0 THEN '310' ELSE '390' END,
    'H' || lpad((n % 211)::text, 11, '0'), 'Municipal People''s Hospital No. ' || n % 211,
    'Department of Internal Medicine ' || n % 53, date '2025-12-01' + (n % 28)::int,
    CASE WHEN n % 5 = 0 THEN '21' ELSE '11' END,
    (n * 104729 % 990000) / 100.0, (n * 104729 % 900000) / 100.0, (n * 104729 % 90000) / 100.0,
    CASE WHEN n % 7 > 0 THEN 'I' || lpad((n % 97)::text, 2, '0') || '.' || n % 10 END,
    CASE WHEN n % 7 > 0 THEN 'Essential hypertension, stage ' || n % 3 || ', risk group ' || n % 97 END,
    n % 1000 = 0
FROM generate_series(1::bigint, $rows) AS n";

/// pgbench's scale: 1,000,000 accounts, some 150 MB.
const SCALE: &str = "10";

impl Rig {
    /// Starts it all and makes the rows.
    ///
    /// # Errors
    /// When there is no pgbench, or it fails.
    pub(crate) async fn start(rows: u64) -> Outcome<Self> {
        let pgbench = pgbench()?;
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let options = PostgresOptions {
            // The disk's noise is kept out: what is measured is who gets the processors.
            fsync: false,
            settings: vec![
                setting("shared_buffers", "2GB"),
                setting("synchronous_commit", "off"),
                setting("max_wal_size", "16GB"),
                setting("checkpoint_timeout", "1h"),
                setting("autovacuum", "off"),
            ],
            ..PostgresOptions::default()
        };
        println!("starting PostgreSQL and making {rows} rows");
        let server = Postgres::private(options).await;
        let core = server.database("core").await;
        let made = tokio::process::Command::new(&pgbench)
            .args(["-i", "-q", "-s", SCALE])
            .arg(&core.url)
            .output()
            .await?;
        if !made.status.success() {
            return Err(format!("pgbench -i: {}", String::from_utf8_lossy(&made.stderr)).into());
        }
        core.execute(TABLE).await;
        core.execute(&FILL.replace("$rows", &rows.to_string())).await;
        core.execute("VACUUM (ANALYZE, FREEZE)").await;
        core.execute("CHECKPOINT").await;
        let reader = core
            .role(
                "slacktide",
                "GRANT SELECT ON setl TO $role; GRANT pg_read_all_stats TO $role",
            )
            .await;
        let folder = tempfile::Builder::new().prefix("slacktide-bench-").tempdir()?;
        Ok(Self {
            _server: server,
            core,
            reader,
            pgbench,
            binary: None,
            folder,
        })
    }

    /// A folder for this run's files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn pgbench() -> Outcome<PathBuf> {
    let beside = harness::postgres_bin().join("pgbench");
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .map(|folder| folder.join("pgbench"));
    std::iter::once(beside)
        .chain(on_path)
        .find(|file| file.is_file())
        .ok_or_else(|| {
            "there is no pgbench beside PostgreSQL or on the PATH; install PostgreSQL's client programs"
                .into()
        })
}
