//! Counts active and waiting sessions of other clients, in one statement for three signals.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;
use gate::signal::probe::config::{ACTIVE, IO_WAITS, LOCK_WAITS};

use super::link::Link;
use super::unreadable;

pub(super) const NAMES: [&str; 3] = [ACTIVE, LOCK_WAITS, IO_WAITS];

/// Clients of every database of the server, because they share its host. Excludes this session and the agent's own. A session
/// with a hidden backend type is one that the account may not see.
const SESSIONS: &str = "SELECT count(*) FILTER (WHERE a.state IN ('active', 'fastpath function call')), \
    count(*) FILTER (WHERE a.state = 'active' AND a.wait_event_type = 'Lock'), \
    count(*) FILTER (WHERE a.state = 'active' AND a.wait_event_type = 'IO'), \
    count(*) FILTER (WHERE a.backend_type IS NULL), \
    count(*) FILTER (WHERE a.state = 'disabled') \
    FROM pg_catalog.pg_stat_activity a WHERE a.pid <> pg_catalog.pg_backend_pid() \
    AND (a.backend_type IS NULL OR a.backend_type = 'client backend') \
    AND NOT (a.usename IS NOT DISTINCT FROM current_user \
    AND a.application_name IN ('slacktide', 'slacktide-probe'))";

pub(super) struct Activity {
    link: Arc<Link>,
    names: Vec<&'static str>,
}

impl Activity {
    pub(super) fn new(link: Arc<Link>, names: Vec<&'static str>) -> Self {
        Self { link, names }
    }
}

#[async_trait]
impl Probe for Activity {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        self.names
            .iter()
            .map(|name| ((*name).into(), "sessions"))
            .collect()
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        self.link.connect().await
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let rows = self.link.ask(SESSIONS).await?;
        let row = rows
            .first()
            .ok_or_else(|| SignalError("pg_stat_activity returned no row".to_owned()))?;
        let count = |column: usize| row.try_get::<_, i64>(column).map_err(unreadable);
        if count(3)? > 0 {
            return Err(SignalError(format!(
                "the account cannot see the activity of {} sessions of other accounts; GRANT pg_read_all_stats to it, \
                 which `slacktide doctor` prints",
                count(3)?
            )));
        }
        if count(4)? > 0 {
            return Err(SignalError(format!(
                "{} sessions run with track_activities off, so their work cannot be seen; set it on",
                count(4)?
            )));
        }
        let mut values = BTreeMap::new();
        for (column, name) in NAMES.iter().enumerate() {
            if self.names.contains(name) {
                let sessions = u32::try_from(count(column)?).unwrap_or(u32::MAX);
                values.insert(SignalName::from(*name), f64::from(sessions));
            }
        }
        Ok(values)
    }

    fn disconnect(&mut self) {
        self.link.disconnect();
    }
}
