//! The latest probe results and their maximum age.

use super::*;

/// The latest result of each signal.
#[derive(Debug, Default)]
pub(super) struct LatestReadings {
    readings: StdMutex<BTreeMap<SignalName, TimedReading>>,
}

#[derive(Debug, Clone)]
struct TimedReading {
    at: Instant,
    result: Result<f64, SignalError>,
}

impl LatestReadings {
    pub(super) fn store(&self, name: SignalName, result: Result<f64, SignalError>) {
        let reading = TimedReading {
            at: Instant::now(),
            result,
        };
        self.readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, reading);
    }

    fn latest(&self, name: &str) -> Option<TimedReading> {
        self.readings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }
}

/// A signal that returns the latest probe result.
pub(super) struct ProbedSignal {
    pub(super) name: SignalName,
    pub(super) unit: &'static str,
    pub(super) readings: Arc<LatestReadings>,
    pub(super) max_age: Duration,
    pub(super) _task: Arc<Task>,
}

#[async_trait]
impl Signal for ProbedSignal {
    fn name(&self) -> SignalName {
        self.name.clone()
    }

    fn unit(&self) -> &'static str {
        self.unit
    }

    async fn read(&mut self) -> Result<f64, SignalError> {
        let reading = self
            .readings
            .latest(&self.name)
            .ok_or_else(|| SignalError("not probed yet".to_owned()))?;
        let age = reading.at.elapsed();
        if reading.result.is_ok() && age > self.max_age {
            return Err(SignalError(format!(
                "last probed {} ms ago, the maximum is {} ms",
                age.as_millis(),
                self.max_age.as_millis()
            )));
        }
        reading.result
    }
}
