//! The readings of all signals at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::load::LoadSample;

use crate::clock::Moment;

/// The name of a signal, for example `host_cpu`; cheap to clone.
pub type SignalName = Arc<str>;

/// One signal's reading. Anything but a finite value closes the gate.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A value in the signal's unit.
    Value(f64),
    /// The reading failed, with the cause.
    Failed(Arc<str>),
}

/// One reading of all signals.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When the last reading completed.
    pub at: Moment,
    /// The reading of each signal.
    pub readings: BTreeMap<SignalName, Reading>,
}

impl Sample {
    /// Returns the causes of failed readings, by signal.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<String, String> {
        self.readings
            .iter()
            .filter_map(|(name, reading)| match reading {
                Reading::Failed(why) => Some((name.to_string(), why.to_string())),
                Reading::Value(value) if !value.is_finite() => {
                    Some((name.to_string(), "not a finite number".to_owned()))
                }
                Reading::Value(_) => None,
            })
            .collect()
    }

    /// Converts the sample to evidence: thousandths, `None` where a reading failed or is not finite.
    #[must_use]
    pub fn evidence(&self) -> LoadSample {
        let readings_milli = self
            .readings
            .iter()
            .map(|(name, reading)| {
                let milli = match reading {
                    Reading::Value(value) if value.is_finite() => Some(milli(*value)),
                    Reading::Value(_) | Reading::Failed(_) => None,
                };
                (name.to_string(), milli)
            })
            .collect();
        LoadSample {
            at: self.at.wall,
            readings_milli,
        }
    }
}

/// Returns the value in thousandths, rounded; saturates at the ends of the range.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, which is what is wanted"
)]
pub fn milli(value: f64) -> i64 {
    (value * 1_000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn evidence_is_in_thousandths_and_a_failure_is_none() {
        let sample = Sample {
            at: Moment {
                mono: Duration::ZERO,
                wall: Timestamp::UNIX_EPOCH,
            },
            readings: BTreeMap::from([
                ("a".into(), Reading::Value(12.3456)),
                ("b".into(), Reading::Value(f64::NAN)),
                ("c".into(), Reading::Failed("gone".into())),
                ("d".into(), Reading::Value(f64::MAX)),
            ]),
        };
        let evidence = sample.evidence().readings_milli;
        assert_eq!(evidence["a"], Some(12_346));
        assert_eq!(evidence["b"], None);
        assert_eq!(evidence["c"], None);
        assert_eq!(evidence["d"], Some(i64::MAX));
    }
}
