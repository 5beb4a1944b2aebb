//! A signal that a test controls.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Signal, SignalError};
use crate::sample::SignalName;

/// The behaviour of a scripted signal when it is read.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptedReading {
    /// Returns this value.
    Value(f64),
    /// Fails with this text.
    Fail(String),
    /// Never completes.
    Hang,
}

/// A signal whose reading a test sets.
#[derive(Debug)]
pub struct ScriptedSignal {
    name: &'static str,
    reading: watch::Receiver<ScriptedReading>,
}

impl ScriptedSignal {
    /// Creates the signal and the sender that sets its reading.
    #[must_use]
    pub fn new(name: &'static str, first: ScriptedReading) -> (Self, watch::Sender<ScriptedReading>) {
        let (readings, reading) = watch::channel(first);
        (Self { name, reading }, readings)
    }
}

#[async_trait]
impl Signal for ScriptedSignal {
    fn name(&self) -> SignalName {
        self.name.into()
    }

    fn unit(&self) -> &'static str {
        "percent"
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let reading = self.reading.borrow().clone();
        match reading {
            ScriptedReading::Value(value) => Ok(value),
            ScriptedReading::Fail(text) => Err(SignalError(text)),
            ScriptedReading::Hang => std::future::pending().await,
        }
    }
}
