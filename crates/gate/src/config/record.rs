//! `[gate.record]`: whether every sample is kept, where, and for how long.

use std::path::PathBuf;

use runtime::span::Span;
use serde::{Deserialize, Serialize};

/// The `[gate.record]` table. Without a folder nothing is recorded: an agent writes nowhere that
/// nobody named, and many run where nothing may be written at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// The folder of the recordings; made when it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// How long a day's file is kept after its day.
    pub keep: Span,
}

impl Default for RecordConfig {
    fn default() -> Self {
        Self {
            dir: None,
            keep: Span::from_secs(30 * 24 * 3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_unless_a_folder_is_named_and_a_month_long() {
        let config: Result<RecordConfig, _> = toml::from_str("");
        assert_eq!(config, Ok(RecordConfig::default()));
        assert_eq!(RecordConfig::default().dir, None);
        let config: Result<RecordConfig, _> = toml::from_str("dir = \"samples\"\nkeep = \"30d\"");
        assert!(
            config.is_ok_and(|config| config.keep == RecordConfig::default().keep && config.dir.is_some())
        );
    }
}
