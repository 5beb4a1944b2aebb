//! Parses and checks a configuration, for the tests of its tables.

use super::GateConfig;
use crate::config_error::ConfigError;

/// Why a configuration is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Syntax(#[from] toml::de::Error),
    #[error(transparent)]
    Value(#[from] ConfigError),
}

/// Returns the configuration of a text that begins in the `[gate]` table.
pub(crate) fn parse(text: &str) -> Result<GateConfig, Refusal> {
    let config: GateConfig = toml::from_str(text)?;
    config.validate()?;
    Ok(config)
}

/// Returns the error of a text, empty if there is none.
pub(crate) fn error_of(text: &str) -> String {
    parse(text).map_or_else(|error| error.to_string(), |_| String::new())
}
