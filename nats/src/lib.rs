//! The exchange port over NATS JetStream, and its topology as data.
