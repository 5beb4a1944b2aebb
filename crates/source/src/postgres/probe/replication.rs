//! Measures how far the replicas are behind, because reading must not delay them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;
use gate::signal::probe::config::REPLICATION_LAG;

use super::link::Link;
use super::unreadable;

/// On a primary: its slowest replica. A replica that does not respond while it has data to replay is behind since its last reply.
/// On a replica: the age of the last replayed transaction, unless everything is replayed. A replica with a hidden state is one
/// that the account may not see.
const LAG: &str = "SELECT pg_catalog.pg_is_in_recovery(), count(r.pid), \
    count(r.pid) FILTER (WHERE r.state IS NULL), \
    extract(epoch FROM CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN max(greatest(r.replay_lag, \
    CASE WHEN NOT pg_catalog.pg_is_in_recovery() AND r.replay_lsn < pg_catalog.pg_current_wal_lsn() \
    THEN pg_catalog.clock_timestamp() - r.reply_time END)) \
    WHEN pg_catalog.pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_catalog.pg_last_wal_replay_lsn() \
    THEN interval '0' ELSE pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp() END)::float8 \
    FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_stat_replication r ON true";

pub(super) struct Replication {
    link: Arc<Link>,
}

impl Replication {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Probe for Replication {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(REPLICATION_LAG.into(), "seconds")]
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        self.link.connect().await
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let rows = self.link.ask(LAG).await?;
        let row = rows
            .first()
            .ok_or_else(|| SignalError("pg_stat_replication returned no row".to_owned()))?;
        let standby: bool = row.try_get(0).map_err(unreadable)?;
        let replicas: i64 = row.try_get(1).map_err(unreadable)?;
        let hidden: i64 = row.try_get(2).map_err(unreadable)?;
        let lag: Option<f64> = row.try_get(3).map_err(unreadable)?;
        if hidden > 0 {
            return Err(SignalError(
                "the account cannot see the state of the replicas; GRANT pg_read_all_stats to it, which \
                 `slacktide doctor` prints"
                    .to_owned(),
            ));
        }
        // A missing replica does not count as up to date.
        if !standby && replicas == 0 {
            return Err(SignalError(
                "no replica is connected; turn db_replication_lag off if there is none".to_owned(),
            ));
        }
        if standby && lag.is_none() {
            return Err(SignalError("this replica has replayed nothing yet".to_owned()));
        }
        Ok(BTreeMap::from([(
            REPLICATION_LAG.into(),
            lag.unwrap_or(0.0).max(0.0),
        )]))
    }

    fn disconnect(&mut self) {
        self.link.disconnect();
    }
}
