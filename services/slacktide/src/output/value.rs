//! The types of fields in the JSON of commands, so that all commands write them alike.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A time, written in RFC 3339 in UTC with three decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// Writes whole seconds, for people.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^-?\d{4,6}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        })
    }
}

/// A ratio or a rate, rounded to three decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64((self.0 * 1e3).round() / 1e3)
    }
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "description": "Rounded to three decimals." })
    }
}

/// Returns a number of seconds as whole milliseconds; 0 if it is negative or not a number.
pub(crate) fn millis(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|time| u64::try_from(time.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_times_and_ratios_have_three_decimals() -> Result<(), Box<dyn std::error::Error>> {
        for (at, wanted) in [
            ("2026-01-31T08:00:00+08:00", "\"2026-01-31T00:00:00.000Z\""),
            ("2026-01-31T00:00:00.123456789Z", "\"2026-01-31T00:00:00.123Z\""),
        ] {
            assert_eq!(serde_json::to_string(&Time(at.parse()?))?, wanted);
        }
        assert_eq!(serde_json::to_string(&Ratio(1.0 / 3.0))?, "0.333");
        assert_eq!((millis(1.5), millis(-1.0), millis(f64::NAN)), (1_500, 0, 0));
        Ok(())
    }
}
