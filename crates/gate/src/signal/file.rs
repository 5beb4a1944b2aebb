//! A file that closes the gate while it exists, for operators and other tools.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Signal, SignalError};
use crate::limits::Limit;
use crate::sample::SignalName;

/// The signal's name.
pub const NAME: &str = "stop_file";

/// Closed if the file exists (1), open if it does not (0).
pub const LIMIT: Limit = Limit {
    stop: 1.0,
    resume: 0.5,
    critical: None,
    quiet: None,
    unit: "present",
};

/// The `[gate.signals.stop_file]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopFileConfig {
    /// The path.
    pub path: PathBuf,
}

/// A file that closes the gate while it exists. A folder that cannot be read is an error, and therefore closes the gate
/// too.
#[derive(Debug)]
pub struct StopFile {
    path: PathBuf,
}

impl StopFile {
    /// Creates the signal for a path.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

#[async_trait]
impl Signal for StopFile {
    fn name(&self) -> SignalName {
        NAME.into()
    }

    fn unit(&self) -> &'static str {
        LIMIT.unit
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        match tokio::fs::try_exists(&self.path).await {
            Ok(true) => Ok(1.0),
            Ok(false) => Ok(0.0),
            Err(error) => Err(SignalError(format!("{}: {error}", self.path.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_file_closes_and_unreadable_folder_is_an_error() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("stop");
        let mut signal = StopFile::new(path.clone());
        assert_eq!(signal.read().await, Ok(0.0));
        std::fs::write(&path, "")?;
        assert_eq!(signal.read().await, Ok(1.0));
        const { assert!(LIMIT.stop <= 1.0 && LIMIT.resume > 0.0) };
        // A file in place of the folder: the state is not known.
        let mut signal = StopFile::new(path.join("below-a-file"));
        assert!(signal.read().await.is_err());
        Ok(())
    }
}
