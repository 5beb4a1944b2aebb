//! Drives a connection.

use std::future::poll_fn;

use tokio_postgres::{AsyncMessage, Connection, Error, Socket};
use tracing::debug;

use crate::answer::sqlstate;
use crate::tls::TlsStream;

/// Drives a connection. The driver's own implementation logs the text of each notice, and a notice of a
/// trigger or a function holds any text of its author, such as a row's values. Here only the notice's code is kept.
pub struct Driver(pub(crate) Connection<Socket, TlsStream>);

impl Driver {
    /// Runs until the connection ends.
    ///
    /// # Errors
    /// Why it ended, where it was not closed by us.
    pub async fn run(mut self) -> Result<(), Error> {
        loop {
            match poll_fn(|cx| self.0.poll_message(cx)).await {
                Some(Ok(AsyncMessage::Notice(notice))) => {
                    debug!(sqlstate = sqlstate(&notice), "notice of the database dropped");
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }
}
