//! The gate's history, for forecasts.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

/// How often the recorded samples are read again.
const HISTORY_EVERY: std::time::Duration = std::time::Duration::from_secs(600);

/// The gate's history by its recording, read again and again for as long as somebody looks at it.
pub(super) fn history(dir: &Path) -> tokio::sync::watch::Receiver<Arc<gate::forecast::History>> {
    let (sender, receiver) = tokio::sync::watch::channel(Arc::default());
    let dir = dir.to_owned();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(HISTORY_EVERY);
        while !sender.is_closed() {
            tick.tick().await;
            let dir = dir.clone();
            let began = Timestamp::now();
            let read = tokio::task::spawn_blocking(move || gate::record::read(&dir)).await;
            match read {
                Ok(Ok(records)) => {
                    sender.send_replace(Arc::new(gate::forecast::History::of(&records.blocks)));
                }
                // There may be nothing recorded yet.
                Ok(Err(error)) => tracing::debug!(%error, %began, "no history for forecasts"),
                Err(error) => tracing::warn!(%error, "reading the gate's history ended early"),
            }
        }
    });
    receiver
}
