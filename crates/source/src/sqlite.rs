//! SQLite as a system of record.
