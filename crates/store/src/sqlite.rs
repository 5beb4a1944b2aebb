//! PLACEHOLDER sqlite
