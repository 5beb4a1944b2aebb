//! What a test says.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Signal, SignalError};
use crate::sample::SignalName;

/// What a scripted signal does when it is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Gives this value.
    Say(f64),
    /// Fails with this text.
    Fail(String),
    /// Never comes back.
    Hang,
}

/// A signal with the line that a test gives it.
#[derive(Debug)]
pub struct Scripted {
    name: &'static str,
    line: watch::Receiver<Line>,
}

impl Scripted {
    /// A signal and the hand that gives its line.
    #[must_use]
    pub fn new(name: &'static str, first: Line) -> (Self, watch::Sender<Line>) {
        let (hand, line) = watch::channel(first);
        (Self { name, line }, hand)
    }
}

#[async_trait]
impl Signal for Scripted {
    fn name(&self) -> SignalName {
        self.name.into()
    }

    fn unit(&self) -> &'static str {
        "percent"
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let line = self.line.borrow().clone();
        match line {
            Line::Say(value) => Ok(value),
            Line::Fail(text) => Err(SignalError(text)),
            Line::Hang => std::future::pending().await,
        }
    }
}
