//! The reasons that stop a lane or a feed until an operator acts, with the remedy.

use std::fmt;

/// Why nothing is published on a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The lane's tail is behind or differs from what was acknowledged or receipted.
    Restored,
    /// The feed's definition is not the one that the lane's last chunk was read by.
    DefinitionChanged,
    /// The last chunk cannot be read or is signed by a key that is not trusted.
    TailUnreadable(String),
    /// The exchange refuses permanently.
    Exchange(String),
    /// The source refuses the feed.
    Source(String),
    /// The source is not the one that the lane's last chunk was read from, or it went backwards.
    SourceChanged(String),
}

impl StopReason {
    /// Returns the kind, for labels and programs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::DefinitionChanged => "definition",
            Self::TailUnreadable(_) => "tail",
            Self::Exchange(_) => "exchange",
            Self::Source(_) => "source",
            Self::SourceChanged(_) => "source_changed",
        }
    }

    /// Returns whether only a new epoch lifts the stop.
    #[must_use]
    pub fn needs_epoch(&self) -> bool {
        matches!(self, Self::Restored | Self::SourceChanged(_))
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => f.write_str(
                "exchange restored or rewritten: the lane's last chunk is behind what was acknowledged or \
                 receipted; find out what happened to the exchange, then open a new epoch with \
                 `slacktide feed rewind`",
            ),
            Self::DefinitionChanged => f.write_str(
                "feed definition changed: the lane's last chunk was read by another definition of this feed; \
                 restore the old definition, or accept the new one with `slacktide feed rewind`",
            ),
            Self::TailUnreadable(what) => write!(
                f,
                "the lane's last chunk cannot be trusted: {what}; add the key that signed it to \
                 [trust] chunks, or open a new epoch with `slacktide feed rewind`"
            ),
            Self::SourceChanged(what) => write!(
                f,
                "the source changed: {what}; find out what happened to it, then accept it: if rows may be gone, with \
                 `slacktide feed resync FEED --recipient R`, which sends everything again and removes rows from the store that \
                 are gone; otherwise with `slacktide feed rewind … --accept-source`, which continues from the lane's last chunk"
            ),
            Self::Exchange(what) | Self::Source(what) => f.write_str(what),
        }
    }
}
