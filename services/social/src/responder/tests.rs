//! The responder in the whole agent, with an in-memory exchange and a source that is a list of rows.

mod crash;
mod fixture;
mod kind_checks;
mod observe;
mod outcomes;
mod restrictions;
mod table_source;
