//! `psql COPY … TO STDOUT | psql COPY … FROM STDIN`: the limit of what a copy can reach.

use std::process::{Command, Stdio};

use crate::peer::{Measurement, Meter, Peer};
use crate::rig::Rig;
use crate::{Outcome, rows, whole};

/// Copies the rows into an empty table with the same key.
///
/// # Errors
/// If `psql` fails, or if core and receiver differ at the end.
pub(crate) async fn run(rig: &Rig, count: u64) -> Outcome<Measurement> {
    let db = rig.sink.database("copied").await;
    db.execute(rows::TABLE).await;
    db.execute("CHECKPOINT").await;
    let psql = |url: &str, sql: &str| {
        let mut command = Command::new(harness::postgres_bin().join("psql"));
        command.args(["--quiet", "--no-psqlrc", "--dbname", url, "--command", sql]);
        command
    };
    let meter = Meter::start(rig)?;
    let mut reading = psql(&rig.source.url, "COPY setl TO STDOUT")
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = reading.stdout.take().ok_or("no pipe")?;
    let mut writing = psql(&db.url, "COPY setl FROM STDIN").stdin(pipe).spawn()?;
    let (read, written) = tokio::task::spawn_blocking(move || (reading.wait(), writing.wait())).await?;
    if !read?.success() || !written?.success() {
        return Err("psql failed".into());
    }
    let measured = meter.stop(rig, Peer::Copy, count)?;
    whole::compare(rig, &db, "setl", count).await?;
    Ok(measured)
}
