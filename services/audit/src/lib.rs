//! Audit: replay and verify the streams with a read-only credential.
