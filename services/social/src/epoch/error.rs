//! The errors of opening an epoch, with the remedy.

use schemas::name::Lane;

/// Why no epoch was opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EpochError {
    /// The exchange failed. The error states if the opening may have been stored.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// There is no receipt to continue from.
    #[error(
        "lane {lane} has no receipt to continue from: wait for the receiver's first one, or send everything again from the start"
    )]
    NoReceipt {
        /// The lane.
        lane: Lane,
    },
    /// A receipt or a tail is not trusted.
    #[error("lane {lane}: {what}; correct [trust] and repeat")]
    Untrusted {
        /// The lane.
        lane: Lane,
        /// What is wrong.
        what: String,
    },
    /// Another process won every attempt.
    #[error("lane {lane} is being published to: stop the publisher, or try again")]
    Busy {
        /// The lane.
        lane: Lane,
    },
    /// There is no chunk and the columns are not known.
    #[error(
        "lane {lane} has no chunk at the exchange that holds its columns: open the epoch on a host that reaches the source"
    )]
    NoSchema {
        /// The lane.
        lane: Lane,
    },
    /// A control record is lost.
    #[error("{0}")]
    OrdersBehind(String),
    /// The exchange was restored, and no operator has confirmed the orders since.
    #[error(
        "lane {lane}: the receiver signed for a chunk that the exchange does not hold, so the exchange was restored or rewritten, \
         and a pause or a hold may be lost with it. See what is in force with `slacktide orders show`, give what is missing \
         again, then confirm: slacktide orders confirm --record {record} --reason TEXT"
    )]
    Unconfirmed {
        /// The lane.
        lane: Lane,
        /// The control record in force, or `none`.
        record: String,
    },
    /// The exchange holds less than the receiver signed for.
    #[error(
        "lane {lane}: the exchange's last chunk is behind the last receipt: it was restored or rewritten; find out what happened, then use --from receipt"
    )]
    Behind {
        /// The lane.
        lane: Lane,
    },
    /// Nothing changed, so there is nothing to accept.
    #[error(
        "lane {lane}: its last chunk was read by the definition as it is configured; there is nothing to accept"
    )]
    Unchanged {
        /// The lane.
        lane: Lane,
    },
    /// The lane cannot continue from its last chunk.
    #[error("lane {lane}: {what}; send everything again with --from beginning")]
    NotContinuable {
        /// The lane.
        lane: Lane,
        /// Why not.
        what: String,
    },
    /// The position before a chunk is no longer known.
    #[error(
        "lane {lane}: the exchange does not keep chunk {epoch}.{number}, which holds the position before it; {known}"
    )]
    NoChunk {
        /// The lane.
        lane: Lane,
        /// Its epoch.
        epoch: u32,
        /// Its number.
        number: u64,
        /// The positions that are known.
        known: String,
    },
    /// Another epoch would end a resynchronisation before the store equals the source.
    #[error(
        "lane {lane} is being sent again from its start, and another epoch would leave rows at the store that are gone at the \
         source: wait for its end, or restart it with `slacktide feed resync`"
    )]
    ResyncUnderWay {
        /// The lane.
        lane: Lane,
    },
    /// Signing failed.
    #[error("cannot sign the opening: {0}")]
    Signing(String),
}
