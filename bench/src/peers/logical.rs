//! Logical replication: its initial copy, and subscriptions for the changes.

use std::time::Duration;

use harness::Db;

use crate::peer::{Measurement, Meter, Peer};
use crate::rig::Rig;
use crate::{Outcome, rows, whole};

/// The interval between two looks at the progress.
const POLL: Duration = Duration::from_millis(50);

/// How long a copy or an apply may take.
const TIMEOUT: Duration = Duration::from_secs(1_200);

/// Copies the rows with `CREATE SUBSCRIPTION … WITH (copy_data)`.
///
/// # Errors
/// If it does not end, or if core and receiver differ at the end.
pub(crate) async fn initial(rig: &Rig, count: u64) -> Outcome<Measurement> {
    let db = rig.sink.database("replicated").await;
    db.execute(rows::TABLE).await;
    db.execute("CHECKPOINT").await;
    let meter = Meter::start(rig)?;
    let subscription = Subscription::create(rig, &db, "setl").await?;
    subscription.wait_copied().await?;
    let measured = meter.stop(rig, Peer::Logical, count)?;
    whole::compare(rig, &db, "setl", count).await?;
    subscription.remove(rig).await;
    Ok(measured)
}

/// A subscription of one table.
pub(crate) struct Subscription<'a> {
    db: &'a Db,
    name: String,
}

impl<'a> Subscription<'a> {
    /// Publishes a table of the core, and subscribes to it.
    ///
    /// # Errors
    /// If a name is invalid.
    pub(crate) async fn create(rig: &Rig, db: &'a Db, table: &str) -> Outcome<Self> {
        // Databases are numbered, so the name is new in the core's cluster.
        let name = db.name().to_owned();
        rig.source
            .execute(&format!("CREATE PUBLICATION {name} FOR TABLE {table}"))
            .await;
        let core = format!(
            "host=127.0.0.1 port={} user=postgres dbname={}",
            rig.core.port(),
            rig.source.name()
        );
        db.execute(&format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{core}' PUBLICATION {name} WITH (copy_data = true)"
        ))
        .await;
        Ok(Self { db, name })
    }

    /// Waits until the initial copy is committed.
    ///
    /// # Errors
    /// On a timeout.
    pub(crate) async fn wait_copied(&self) -> Outcome<()> {
        self.wait(
            self.db,
            "SELECT bool_and(srsubstate IN ('f', 's', 'r')) FROM pg_subscription_rel",
        )
        .await
    }

    /// Waits until changes are applied as they come.
    ///
    /// # Errors
    /// On a timeout.
    pub(crate) async fn wait_ready(&self) -> Outcome<()> {
        self.wait(
            self.db,
            "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel",
        )
        .await
    }

    /// Stops or continues the apply.
    pub(crate) async fn enable(&self, enabled: bool) {
        let what = if enabled { "ENABLE" } else { "DISABLE" };
        self.db
            .execute(&format!("ALTER SUBSCRIPTION {} {what}", self.name))
            .await;
    }

    /// Waits until no backend applies for this subscription.
    ///
    /// # Errors
    /// On a timeout.
    pub(crate) async fn wait_stopped(&self, rig: &Rig) -> Outcome<()> {
        let sql = format!(
            "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{}'",
            self.name
        );
        self.wait(&rig.source, &sql).await
    }

    /// Waits until everything up to a position of the core's log is applied.
    ///
    /// # Errors
    /// On a timeout.
    pub(crate) async fn wait_applied(&self, rig: &Rig, position: &str) -> Outcome<()> {
        let sql = format!(
            "SELECT confirmed_flush_lsn >= '{position}' FROM pg_replication_slots WHERE slot_name = '{}'",
            self.name
        );
        self.wait(&rig.source, &sql).await
    }

    /// Removes the subscription and its slot.
    pub(crate) async fn remove(self, rig: &Rig) {
        let name = &self.name;
        self.db.execute(&format!("DROP SUBSCRIPTION {name}")).await;
        rig.source.execute(&format!("DROP PUBLICATION {name}")).await;
    }

    /// Polls one session, because connecting costs CPU time.
    async fn wait(&self, db: &Db, sql: &str) -> Outcome<()> {
        let client = db.connect().await;
        let done = async {
            loop {
                let row = client.query_opt(sql, &[]).await?;
                let is_done: Option<bool> = row.map(|row| row.try_get(0)).transpose()?.flatten();
                if is_done == Some(true) {
                    return Ok::<(), tokio_postgres::Error>(());
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let done = tokio::time::timeout(TIMEOUT, done).await;
        Ok(done.map_err(|_| "logical replication did not end in time")??)
    }
}
