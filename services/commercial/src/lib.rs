//! The commercial agent: polls at a fixed interval and stores.
