//! What can go wrong while auditing, faults found not among it: those are findings.

/// Auditing could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The exchange did not answer or refused.
    #[error("the {stream:?} stream cannot be read: {source}")]
    Exchange {
        /// Which stream.
        stream: exchange::port::Stream,
        /// Why.
        source: exchange::Error,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}
