//! What was last said, and how old it may be.

use super::*;

/// The last word on each signal.
#[derive(Debug, Default)]
pub(super) struct Kept {
    words: StdMutex<BTreeMap<SignalName, Word>>,
}

#[derive(Debug, Clone)]
struct Word {
    at: Instant,
    said: Result<f64, SignalError>,
}

impl Kept {
    pub(super) fn keep(&self, name: SignalName, said: Result<f64, SignalError>) {
        let word = Word {
            at: Instant::now(),
            said,
        };
        self.words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, word);
    }

    fn word(&self, name: &str) -> Option<Word> {
        self.words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}

/// A signal that tells what a probe last said.
pub(super) struct Probed {
    pub(super) name: SignalName,
    pub(super) unit: &'static str,
    pub(super) kept: Arc<Kept>,
    pub(super) most_age: Duration,
    pub(super) _task: Arc<Task>,
}

#[async_trait]
impl Signal for Probed {
    fn name(&self) -> SignalName {
        self.name.clone()
    }

    fn unit(&self) -> &'static str {
        self.unit
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let word = self
            .kept
            .word(&self.name)
            .ok_or_else(|| SignalError("not probed yet".to_owned()))?;
        let age = word.at.elapsed();
        if word.said.is_ok() && age > self.most_age {
            return Err(SignalError(format!(
                "last probed {} ms ago, {} ms is the most",
                age.as_millis(),
                self.most_age.as_millis()
            )));
        }
        word.said
    }
}
