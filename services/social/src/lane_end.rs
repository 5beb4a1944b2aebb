//! The reader's end of a lane.

use std::sync::Arc;

use schemas::name::Lane;
use tokio::sync::{mpsc, watch};

use crate::lane::{Handed, Position};
use crate::mask::Masks;

/// The reader's end of a lane.
pub struct LaneEnd {
    /// Its name.
    pub lane: Lane,
    /// Where to read on.
    pub position: watch::Receiver<Position>,
    /// Takes blocks, and what else the reader has to tell.
    pub outbox: mpsc::Sender<Handed>,
    /// What its recipient sees of rows; none: all of them.
    pub masks: Option<Arc<Masks>>,
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
