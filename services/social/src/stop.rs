//! Why a lane or a feed stands still until somebody acts, in the operator's words.

use std::fmt;

/// Why nothing is published on a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The lane's tail is not what it was, or not what the receiver signed for.
    Restored,
    /// The feed is not the one that the lane's last chunk was read by.
    DefinitionChanged,
    /// The last chunk cannot be read or is signed by a key that is not trusted.
    TailUnreadable(String),
    /// The exchange refuses for good.
    Exchange(String),
    /// The source refuses the feed.
    Source(String),
    /// The source is not the one that the lane's last chunk was read from, or holds less than it held then.
    SourceChanged(String),
}

impl StopReason {
    /// Its kind, for labels and programs.
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

    /// Whether only a new epoch lifts it.
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
                 put the old one back, or accept the new one with `slacktide feed rewind`",
            ),
            Self::TailUnreadable(what) => write!(
                f,
                "the lane's last chunk cannot be trusted: {what}; add the key that signed it to \
                 [trust] chunks, or open a new epoch with `slacktide feed rewind`"
            ),
            Self::SourceChanged(what) => write!(
                f,
                "the source is not what it was: {what}; find out what happened to it, then accept it as it is: where rows may \
                 be gone with `slacktide feed resync FEED --recipient R`, which sends everything again and removes from the \
                 store what is gone; where none is with `slacktide feed rewind … --accept-source`, which goes on where the \
                 lane stands"
            ),
            Self::Exchange(what) | Self::Source(what) => f.write_str(what),
        }
    }
}
