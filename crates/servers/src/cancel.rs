//! Cancels what a connection is doing.

use tokio_postgres::{CancelToken, Error};

use crate::tls::Connector;

/// Cancels the statement of one connection, over a new connection with the same TLS to the same server. The request
/// holds the session's key, with which anybody could cancel its statements.
#[derive(Clone)]
pub struct Cancel {
    pub(crate) token: CancelToken,
    pub(crate) tls: Connector,
}

impl Cancel {
    /// Sends the request. The server never answers it.
    ///
    /// # Errors
    /// When the server cannot be reached.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that sends the request, over TLS"
    )]
    pub async fn send(&self) -> Result<(), Error> {
        self.token.cancel_query(self.tls.clone()).await
    }
}

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cancel(key not shown)")
    }
}
