//! The whole responder, in the whole agent, over an exchange in memory and a source that is a list of rows.

mod crash;
mod decided;
mod kinds;
mod lists;
mod scene;
mod seen;
mod table;
