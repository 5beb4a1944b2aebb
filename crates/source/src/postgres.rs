//! PostgreSQL as a system of record.
