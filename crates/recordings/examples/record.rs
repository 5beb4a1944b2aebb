//! Records this host with the default signals into a folder, as for the traces of the tests.
//!
//! `cargo run -p recordings --example record -- FOLDER SECONDS`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gate::{Gate, GateConfig, Orders, OwnPids};
use recordings::{SampleArchive, record};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let seconds: u64 = arguments.next().ok_or("how many seconds?")?.parse()?;
    let stop = CancellationToken::new();
    let (gate, sampling) = Gate::start(
        &GateConfig::default(),
        &OwnPids::new(),
        Vec::new(),
        Orders::default(),
        &stop,
    )?;
    let archive = SampleArchive::new(Path::new(&folder), Duration::from_secs(86_400));
    let recording = record(&gate, archive, Arc::new(|| 0), stop.clone());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.cancel();
    sampling.join().await;
    recording.await?;
    Ok(())
}
