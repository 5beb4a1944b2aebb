//! `[gate.record]`: whether and where samples are recorded, and for how long.

use std::path::PathBuf;

use runtime::span::Span;
use serde::{Deserialize, Serialize};

/// The `[gate.record]` table. Nothing is recorded without a folder: the agent writes only to named paths, and may run
/// without any writable path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordConfig {
    /// The folder of the recordings; created if missing.
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
    fn record_config_is_off_by_default_and_keeps_a_month() {
        let config: Result<RecordConfig, _> = toml::from_str("");
        assert_eq!(config, Ok(RecordConfig::default()));
        assert_eq!(RecordConfig::default().dir, None);
        let config: Result<RecordConfig, _> = toml::from_str("dir = \"samples\"\nkeep = \"30d\"");
        assert!(
            config.is_ok_and(|config| config.keep == RecordConfig::default().keep && config.dir.is_some())
        );
    }
}
