//! Every type that a core would hold, in all four pairs of core and store.
//!
//! | module | what |
//! |---|---|
//! | `pairs` | generated tables through source, chunks and store, compared by the databases' own words |
//! | `table` | a table out of a seed: columns, key, rows |
//! | `postgres`, `sqlite` | the types and their values, and what must become of each |
//! | `pipe` | the path without its processes |
//! | `ends` | both ends of a pair, and whether they hold the same |
//! | `eyes` | looks at values, and what must be equal |
//! | `chance` | the one source of chance |

mod chance;
mod ends;
mod eyes;
mod pairs;
mod pipe;
mod postgres;
mod sqlite;
mod table;

pub(crate) use ends::Ends;
pub(crate) use postgres::{SETUP, THERE};
pub(crate) use table::Case;
