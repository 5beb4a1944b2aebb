//! PURE: the SQL of a quantum.
