//! What a database says of a row reaches nobody: neither logs, nor pages, nor the other party.
//!
//! Each test plants a marker, as the name of a patient, wherever a database repeats what is in a row, and looks for it
//! in all that leaves the agents beside the rows themselves.

mod listening;
mod postgres;
mod sqlite;
