//! The gate's recorded history, for forecasts.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

/// The interval at which the recorded samples are read again.
const HISTORY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(600);

/// Reads the gate's recorded history periodically, as long as a receiver exists.
pub(super) fn history(dir: &Path) -> tokio::sync::watch::Receiver<Arc<recordings::forecast::History>> {
    let (sender, receiver) = tokio::sync::watch::channel(Arc::default());
    let dir = dir.to_owned();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(HISTORY_INTERVAL);
        while !sender.is_closed() {
            tick.tick().await;
            let dir = dir.clone();
            let began = Timestamp::now();
            let read = tokio::task::spawn_blocking(move || recordings::read(&dir)).await;
            match read {
                Ok(Ok(records)) => {
                    sender.send_replace(Arc::new(recordings::forecast::History::from_blocks(
                        &records.blocks,
                    )));
                }
                // Possibly nothing is recorded yet.
                Ok(Err(error)) => tracing::debug!(%error, %began, "gate history not available for forecasts"),
                Err(error) => tracing::warn!(%error, "gate history reader ended early"),
            }
        }
    });
    receiver
}
