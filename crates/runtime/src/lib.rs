//! Configuration, telemetry, health, stop token, exit codes.
