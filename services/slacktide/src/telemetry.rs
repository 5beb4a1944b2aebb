//! Start and end of the traces of a process.

use traces::{Exporting, TelemetryConfig};

use crate::failure::Failure;

/// The service name of commands.
pub(crate) const COMMAND: &str = "slacktide-command";

/// Starts traces if they are configured. `service` is the part of the program that runs.
pub(crate) fn start(
    telemetry: Option<&TelemetryConfig>,
    service: &'static str,
) -> Result<Option<Exporting>, Failure> {
    let Some(telemetry) = telemetry else {
        return Ok(None);
    };
    let instance = format!("{:016x}", rand::random::<u64>());
    traces::start(telemetry, service, &instance)
        .map(Some)
        .map_err(|error| Failure::usage(error.to_string()))
}

/// Sends the last spans, within a bounded time.
pub(crate) async fn finish(exporting: Option<Exporting>) {
    if let Some(exporting) = exporting {
        exporting.finish().await;
    }
}
