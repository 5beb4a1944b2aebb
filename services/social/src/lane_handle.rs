//! The reader's handle of a lane.

use std::sync::Arc;

use schemas::name::Lane;
use tokio::sync::{mpsc, watch};

use crate::lane::{LaneMessage, Position};
use crate::mask::Masks;

/// The reader's handle of a lane.
pub struct LaneHandle {
    /// The lane.
    pub lane: Lane,
    /// Where to continue reading.
    pub position: watch::Receiver<Position>,
    /// Takes blocks and source changes.
    pub outbox: mpsc::Sender<LaneMessage>,
    /// The recipient's masks; `None` if rows are sent whole.
    pub masks: Option<Arc<Masks>>,
}

/// Waits until the position of a lane changes.
pub async fn lane_changed(lanes: &mut [LaneHandle]) {
    let changes = lanes.iter_mut().map(|lane| {
        Box::pin(async {
            // A lane that has ended never changes.
            if lane.position.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    futures_util::future::select_all(changes).await;
}
