//! The whole path with the real binary, real servers and real faults.
//!
//! | module | what |
//! |---|---|
//! | `site` | a private exchange, core, store and configuration, as a user would write them |
//! | `files` | the text of the configuration |
//! | `claims` | the core's table, and the comparison with the store |
//! | `pairs` | every kind of source to every kind of store, column by column |
//! | `every_type` | a table with every type, and what cannot be carried |
//! | `large` | values of 1 MB, and a row larger than a message |
//! | `library` | databases of other trades, with odd names, in all four pairs |
//! | `stops` | order to stop, exchange away, full stream |
//! | `wrong` | errors of configuration, before anything is touched |

mod claims;
mod every_type;
mod files;
mod large;
mod library;
mod pairs;
mod site;
mod stops;
mod wrong;
