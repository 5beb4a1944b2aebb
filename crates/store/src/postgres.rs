//! PLACEHOLDER postgres
