//! The operator's own SQL: one row of one number.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gate::sample::SignalName;
use gate::signal::SignalError;
use gate::signal::probe::Probe;

use super::link::Link;
use super::number::Number;

pub(super) struct Sql {
    link: Arc<Link>,
    name: SignalName,
    sql: String,
}

impl Sql {
    pub(super) fn new(link: Arc<Link>, name: SignalName, sql: String) -> Self {
        Self { link, name, sql }
    }
}

#[async_trait]
impl Probe for Sql {
    fn signals(&self) -> Vec<(SignalName, &'static str)> {
        vec![(self.name.clone(), "value")]
    }

    fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    async fn connect(&mut self) -> Result<(), SignalError> {
        self.link.connect().await
    }

    async fn probe(&mut self) -> Result<BTreeMap<SignalName, f64>, SignalError> {
        let at = |what: String| SignalError(format!("{}: {what}", self.name));
        let rows = self.link.ask(&self.sql).await.map_err(|error| at(error.0))?;
        let [row] = rows.as_slice() else {
            return Err(at(format!("returned {} rows; it must return one", rows.len())));
        };
        let [column] = row.columns() else {
            return Err(at(format!(
                "returned {} columns; it must return one",
                row.columns().len()
            )));
        };
        let number: Option<Number> = row.try_get(0).map_err(|_| {
            at(format!(
                "returned a {}; it must return a number",
                column.type_().name()
            ))
        })?;
        let Number(value) = number.ok_or_else(|| at("returned null; COALESCE it to a number".to_owned()))?;
        Ok(BTreeMap::from([(self.name.clone(), value)]))
    }

    fn disconnect(&mut self) {
        self.link.disconnect();
    }
}
