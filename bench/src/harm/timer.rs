//! The prior art: a timer-driven extractor that reads by key at full speed. It is a fair implementation: keyset pages
//! of 1,000 rows with a prepared statement, packed as MessagePack and sent page by page, without regard to the core's
//! load.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use crate::Outcome;
use crate::arguments::Child;
use crate::worker::{WorkerStatus, termination_requested};

const PAGE: &str = "SELECT setl_id, updt_time::text, mdtrt_id, psn_no, insutype, fixmedins_code, fixmedins_name, dept_name,
    begndate::text, med_type, medfee_sumamt::text, hifp_pay::text, psn_cash_pay::text, dise_codg, dise_name, refd
    FROM setl WHERE setl_id > $1 ORDER BY setl_id LIMIT 1000";

/// The timer's interval.
const EACH: Duration = Duration::from_secs(1);

/// Extracts until termination is requested.
pub(crate) async fn run(child: &Child) -> Outcome<()> {
    let (client, connection) = tokio_postgres::connect(&child.url, NoTls).await?;
    tokio::spawn(connection);
    let page = client.prepare(PAGE).await?;
    let mut end = std::pin::pin!(termination_requested());
    let mut timer = tokio::time::interval(EACH);
    let status_interval = Duration::from_millis(child.status_interval_ms);
    let (mut rows, mut written_at) = (0, std::time::Instant::now());
    WorkerStatus::now(rows, serde_json::Value::Null).write(&child.status)?;
    loop {
        tokio::select! {
            ended = &mut end => return ended,
            _ = timer.tick() => {}
        }
        let mut after = 0_i64;
        loop {
            let place: [&(dyn ToSql + Sync); 1] = [&after];
            let read = tokio::select! {
                ended = &mut end => return ended,
                read = client.query(&page, &place) => read?,
            };
            let Some(last) = read.last() else { break };
            after = last.try_get(0)?;
            rows += read.len() as u64;
            let chunk: Vec<_> = read.iter().map(pack).collect::<Outcome<_>>()?;
            // The transport acknowledges at once.
            std::hint::black_box(rmp_serde::to_vec(&chunk)?);
            if written_at.elapsed() > status_interval {
                written_at = std::time::Instant::now();
                WorkerStatus::now(rows, serde_json::Value::Null).write(&child.status)?;
            }
        }
    }
}

/// Returns one row as an array, as the prior art's driver does.
fn pack(row: &Row) -> Outcome<(i64, Vec<Option<String>>, bool)> {
    let texts = (1..15).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
    Ok((row.try_get(0)?, texts, row.try_get(15)?))
}
