//! A database's message about a row is recorded nowhere: not in logs, not on pages, not at the other party.
//!
//! Each test writes a marker, as the name of a patient, wherever a database repeats values of a row in its messages, and
//! searches for it in everything that the agents write except for the rows themselves.

mod output;
mod postgres;
mod sqlite;
