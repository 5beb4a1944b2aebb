//! A file that shuts the gate while it exists: an operator's or another tool's word.

use std::path::PathBuf;

use async_trait::async_trait;

use super::{Signal, SignalError};
use crate::limits::Limit;
use crate::sample::SignalName;

/// Its name.
pub const NAME: &str = "stop_file";

/// Shut when present (1), open when absent (0).
pub const LIMIT: Limit = Limit {
    stop: 1.0,
    resume: 0.5,
    critical: None,
    quiet: None,
    unit: "present",
};

/// A file that shuts the gate while it exists. A folder that cannot be looked into is an error,
/// and so shuts the gate too.
#[derive(Debug)]
pub struct StopFile {
    path: PathBuf,
}

impl StopFile {
    /// The file at this path.
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
    async fn present_shuts_absent_opens_unreadable_is_an_error() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("stop");
        let mut signal = StopFile::new(path.clone());
        assert_eq!(signal.read().await, Ok(0.0));
        std::fs::write(&path, "")?;
        assert_eq!(signal.read().await, Ok(1.0));
        const { assert!(LIMIT.stop <= 1.0 && LIMIT.resume > 0.0) };
        // A file where a folder should be: the answer is not known.
        let mut signal = StopFile::new(path.join("below-a-file"));
        assert!(signal.read().await.is_err());
        Ok(())
    }
}
