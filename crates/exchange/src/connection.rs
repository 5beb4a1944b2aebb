//! The state of a connection to the exchange, the same for every transport.

use jiff::Timestamp;

/// Whether the exchange is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It is.
    Connected,
    /// It is not; the transport tries again and again, with a jittered back-off up to some seconds.
    Disconnected {
        /// Since when.
        since: Timestamp,
        /// Whether the last attempt was refused for its credential: only an operator can help.
        refused: bool,
        /// The certificate error with its remedy, if that is the cause.
        why: Option<&'static str>,
    },
}
