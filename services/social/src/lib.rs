//! The social agent: publishes only while the core has slack.
