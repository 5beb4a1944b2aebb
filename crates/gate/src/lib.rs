//! When the system of record may be touched.
