//! Every column type of a core, in all four pairs of core and store.
//!
//! | module | what |
//! |---|---|
//! | `pairs` | generated tables through source, chunks and store, compared by the databases' own output |
//! | `table` | a table from a seed: columns, key, rows |
//! | `postgres`, `sqlite` | the types and their values, and the expected result of each |
//! | `pipeline` | the path without its processes |
//! | `databases` | core and store of a pair, and their comparison |
//! | `digests` | digests of published and of stored rows, by which core and store are reconciled |
//! | `reader` | reads values, and rules for equality |
//! | `rng` | random values from a seed |

mod databases;
mod digests;
mod pairs;
mod pipeline;
mod postgres;
mod reader;
mod rng;
mod sqlite;
mod table;

pub(crate) use databases::Databases;
pub(crate) use postgres::{CORE_SETUP, STORE_SETUP};
pub(crate) use table::Case;
