//! PLACEHOLDER frontier
