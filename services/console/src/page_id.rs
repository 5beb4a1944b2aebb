//! The pages, by name.

/// A page of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageId {
    /// The state of every lane.
    Overview,
    /// Signals, limits and verdict of the gate.
    Gate,
    /// Position and lag of every lane, and what each poller does.
    Feeds,
    /// Data requests.
    Requests,
    /// What could not be stored or carried.
    Quarantine,
    /// Use of the streams.
    Streams,
    /// Parties, keys, certificates.
    Parties,
    /// Audit entries.
    Audit,
    /// The bundle for support.
    Diagnostics,
    /// Prepares commands.
    Orders,
}

impl PageId {
    /// All pages, in the order of the navigation.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Gate,
        Self::Feeds,
        Self::Requests,
        Self::Quarantine,
        Self::Streams,
        Self::Parties,
        Self::Audit,
        Self::Diagnostics,
        Self::Orders,
    ];

    /// Its name in the path and in keys of texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Gate => "gate",
            Self::Feeds => "feeds",
            Self::Requests => "requests",
            Self::Quarantine => "quarantine",
            Self::Streams => "streams",
            Self::Parties => "parties",
            Self::Audit => "audit",
            Self::Diagnostics => "diagnostics",
            Self::Orders => "orders",
        }
    }

    /// Returns the page of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|page| page.name() == name)
    }

    /// The key of its title.
    #[must_use]
    pub fn title_key(self) -> String {
        format!("page.{}", self.name())
    }

    /// Its path.
    #[must_use]
    pub fn path(self) -> String {
        format!("/console/{}", self.name())
    }

    /// Whether it shows the agents' reports, which are made every second while someone watches.
    #[must_use]
    pub fn is_of_agents(self) -> bool {
        matches!(self, Self::Overview | Self::Gate | Self::Feeds)
    }

    /// Every how many intervals of a stream it is read again: more for pages that read much.
    #[must_use]
    pub fn every(self) -> u32 {
        match self {
            Self::Overview | Self::Gate => 1,
            Self::Feeds | Self::Requests | Self::Quarantine => 3,
            Self::Streams | Self::Parties | Self::Audit | Self::Diagnostics | Self::Orders => 10,
        }
    }
}
