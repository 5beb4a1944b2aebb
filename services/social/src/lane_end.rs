//! The reader's end of a lane.

use tokio::sync::{mpsc, watch};

use crate::lane::{Parcel, Position};

/// The reader's end of a lane.
pub struct LaneEnd {
    /// Where to read on.
    pub position: watch::Receiver<Position>,
    /// Takes blocks.
    pub outbox: mpsc::Sender<Parcel>,
}

/// Waits until a lane moves.
pub async fn moved(lanes: &mut [LaneEnd]) {
    let changes = lanes.iter_mut().map(|lane| {
        Box::pin(async {
            // A lane that has ended moves no more.
            if lane.position.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    futures_util::future::select_all(changes).await;
}
