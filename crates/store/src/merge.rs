//! PLACEHOLDER merge
