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
    /// The rows of a CSV have other columns from here on.
    #[error(
        "{subject} has other columns from sequence {sequence} on, and a CSV has one set of them; select one feed with --feed, and continue in another file with --from {sequence}"
    )]
    Columns {
        /// The subject.
        subject: String,
        /// The sequence.
        sequence: u64,
    },
    /// A chunk cannot be read, and a CSV has no place to report it.
    #[error(
        "the chunk at sequence {sequence} cannot be read: {what}; use --format jsonl, which shows unreadable messages, or continue after it"
    )]
    Unreadable {
        /// The sequence.
        sequence: u64,
        /// Why.
        what: String,
    },
}
