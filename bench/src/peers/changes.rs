//! Changes of a table whose earlier rows the receiver has: of each thousand changed rows 300 exist there, 50 are deletes,
//! the rest is new. Each thousand is one transaction at the core.
//!
//! A feed has no deletes without a tombstone column, so Slacktide's table has one, and a delete sets it.

use std::path::Path;

use harness::Db;

use crate::logical::Subscription;
use crate::peer::{Measurement, Meter, Peer};
use crate::rig::{self, Rig};
use crate::settings::{self, Feed, Transport};
use crate::whole::{self, Run};
use crate::{Outcome, rows};

/// Rows that exist before, of each thousand changes: updates and deletes.
const BEFORE: u64 = 350;

/// A changed table of the core.
struct ChangedTable<'a> {
    rig: &'a Rig,
    name: String,
    /// The number of changes.
    changes: u64,
    /// How a row is deleted.
    delete: String,
}

impl<'a> ChangedTable<'a> {
    /// Creates the table with its earlier rows.
    async fn create(rig: &'a Rig, name: String, changes: u64, delete: String) -> Self {
        let table = rows::TABLE.replacen("setl", &name, 1);
        let before = changes / 1_000 * BEFORE;
        rig.source
            .execute(&format!(
                "{table}; ALTER TABLE {name} ADD gone boolean NOT NULL DEFAULT false;
                 INSERT INTO {name} SELECT * FROM setl WHERE setl_id <= {before};
                 CREATE INDEX ON {name} (updt_time, setl_id); GRANT SELECT ON {name} TO {};",
                rig.reader
            ))
            .await;
        rig.source
            .execute(&format!("VACUUM (ANALYZE, FREEZE) {name}"))
            .await;
        Self {
            rig,
            name,
            changes,
            delete,
        }
    }

    /// Changes rows, in transactions of a thousand.
    async fn change(&self) -> Outcome<()> {
        // All but the key and the cursor.
        const OTHERS: &str = "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = 'setl'::regclass AND attnum > 2";
        let others = self.rig.source.query(OTHERS).await;
        let others: String = others.first().ok_or("no columns")?.try_get(0)?;
        let (name, delete, transactions) = (&self.name, &self.delete, self.changes / 1_000);
        let updates = transactions * 300;
        let before = transactions * BEFORE;
        self.rig
            .source
            .execute(&format!(
                "DO $$ BEGIN FOR b IN 0 .. {transactions} - 1 LOOP
                   UPDATE {name} SET medfee_sumamt = medfee_sumamt + 1, updt_time = now()
                     WHERE setl_id > b * 300 AND setl_id <= b * 300 + 300;
                   {delete} WHERE setl_id > {updates} + b * 50 AND setl_id <= {updates} + b * 50 + 50;
                   INSERT INTO {name} SELECT setl_id, now(), {others}, false FROM setl
                     WHERE setl_id > {before} + b * 650 AND setl_id <= {before} + b * 650 + 650;
                   COMMIT;
                 END LOOP; END $$"
            ))
            .await;
        Ok(())
    }

    /// Compares the table with the receiver's.
    async fn compare(&self, db: &Db, table: &str) -> Outcome<()> {
        let sums = |table: &str, only: &str| {
            format!("SELECT count(*)::text || ' rows, ' || sum(medfee_sumamt + setl_id) FROM {table}{only}")
        };
        let core = self.rig.source.query(&sums(&self.name, " WHERE NOT gone")).await;
        let kept = db.query(&sums(table, "")).await;
        let text =
            |rows: &[tokio_postgres::Row]| rows.first().map(|row| row.try_get::<_, String>(0)).transpose();
        let (core, kept) = (text(&core)?, text(&kept)?);
        if core == kept {
            Ok(())
        } else {
            Err(format!("core and receiver differ: {core:?}, {kept:?}").into())
        }
    }
}

/// Measures logical replication's apply.
///
/// # Errors
/// If it does not end, or if core and receiver differ at the end.
pub(crate) async fn logical(rig: &Rig, changes: u64) -> Outcome<Measurement> {
    let db = rig.sink.database("changed").await;
    let name = format!("t_{}", db.name());
    let delete = format!("DELETE FROM {name}");
    let table = ChangedTable::create(rig, name.clone(), changes, delete).await;
    db.execute(&rows::TABLE.replacen("setl", &name, 1)).await;
    db.execute(&format!(
        "ALTER TABLE {name} ADD gone boolean NOT NULL DEFAULT false"
    ))
    .await;
    let subscription = Subscription::create(rig, &db, &name).await?;
    subscription.wait_ready().await?;
    subscription.enable(false).await;
    subscription.wait_stopped(rig).await?;
    table.change().await?;
    let position = rig.source.query("SELECT pg_current_wal_lsn()::text").await;
    let position: String = position.first().ok_or("no position")?.try_get(0)?;
    db.execute("CHECKPOINT").await;
    let meter = Meter::start(rig)?;
    subscription.enable(true).await;
    subscription.wait_applied(rig, &position).await?;
    let measured = meter.stop(rig, Peer::Logical, changes)?;
    table.compare(&db, &name).await?;
    subscription.remove(rig).await;
    Ok(measured)
}

/// Measures the agents, from their start.
///
/// # Errors
/// If an agent ends, or if core and receiver differ at the end.
pub(crate) async fn ours(
    rig: &Rig,
    binary: &Path,
    changes: u64,
    (transport, number): (Transport, usize),
) -> Outcome<Run> {
    let db = rig.sink.database("changes").await;
    let name = format!("changed_{number}");
    let delete = format!("UPDATE {name} SET gone = true, updt_time = now()");
    let table = ChangedTable::create(rig, name.clone(), changes, delete).await;
    let recipient = rig::recipient(number);
    let feed = Feed {
        name: &name,
        sql: format!("SELECT * FROM {name}"),
        more: "tombstone = \"gone\"",
    };
    let social = settings::social(rig, transport, &recipient, &feed)?;
    let commercial = settings::commercial(rig, transport, &recipient, &db.url)?;
    let before = changes / 1_000 * BEFORE;
    let files = (social.as_path(), commercial.as_path());
    whole::measure(rig, binary, files, &db, (before, before), 1, transport).await?;
    table.change().await?;
    db.execute("CHECKPOINT").await;
    let total = before + changes;
    let run = whole::measure(rig, binary, files, &db, (changes, total), 1, transport).await?;
    table.compare(&db, &name).await?;
    Ok(run)
}
