//! The prior art: an extraction program on a timer, reading by key at full speed until it is
//! through. An honest one: keyset pages of 1,000 rows over a prepared statement, packed as
//! MessagePack, handed on page by page, and no look at how the core is doing.

use std::time::Duration;

use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row};

use crate::Outcome;
use crate::arguments::Child;
use crate::worker::{Told, asked_to_end};

const PAGE: &str = "SELECT setl_id, updt_time::text, mdtrt_id, psn_no, insutype, fixmedins_code, fixmedins_name, dept_name,
    begndate::text, med_type, medfee_sumamt::text, hifp_pay::text, psn_cash_pay::text, dise_codg, dise_name, refd
    FROM setl WHERE setl_id > $1 ORDER BY setl_id LIMIT 1000";

/// The timer.
const EACH: Duration = Duration::from_secs(1);

/// Extracts until it is asked to end.
pub(crate) async fn run(child: &Child) -> Outcome<()> {
    let (client, connection) = tokio_postgres::connect(&child.url, NoTls).await?;
    tokio::spawn(connection);
    let page = client.prepare(PAGE).await?;
    let mut end = std::pin::pin!(asked_to_end());
    let mut timer = tokio::time::interval(EACH);
    let tell = Duration::from_millis(child.tell_ms);
    let (mut rows, mut told_at) = (0, std::time::Instant::now());
    Told::now(rows, serde_json::Value::Null).write(&child.status)?;
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
            if told_at.elapsed() > tell {
                told_at = std::time::Instant::now();
                Told::now(rows, serde_json::Value::Null).write(&child.status)?;
            }
        }
    }
}

/// One row as an array, as the prior art's driver hands it on.
fn pack(row: &Row) -> Outcome<(i64, Vec<Option<String>>, bool)> {
    let texts = (1..15).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
    Ok((row.try_get(0)?, texts, row.try_get(15)?))
}
