//! The rules of the `[telemetry]` table, which agents, gateway and front share.

use traces::TelemetryConfig;

use super::violation::ConfigViolation;

/// Returns the rules that the table violates.
pub(super) fn violations(telemetry: Option<&TelemetryConfig>) -> Vec<ConfigViolation> {
    let Some(telemetry) = telemetry else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    if let Err(error) = telemetry.collector() {
        violations.push(ConfigViolation::new(
            "telemetry.otlp",
            format!("is no collector on this host: {error}"),
            "run a collector on this host, and let it send elsewhere over TLS",
        ));
    }
    if !telemetry.is_share() {
        violations.push(ConfigViolation::new(
            "telemetry.sample",
            format!("is {}", telemetry.sample),
            "give a share from 0.0 to 1.0; 0.1 records one trace in ten",
        ));
    }
    violations
}
