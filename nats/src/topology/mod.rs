//! Streams, consumers and accounts as files; diff, apply, status.
