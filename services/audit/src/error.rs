//! Errors that stop an audit. Faults in the streams are findings, not errors.

/// Why an audit stopped.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The exchange did not answer or refused.
    #[error("cannot read the {stream:?} stream: {source}")]
    Exchange {
        /// The stream.
        stream: exchange::port::Stream,
        /// Why.
        source: exchange::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}
