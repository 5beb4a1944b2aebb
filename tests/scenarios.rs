//! The whole path with the real binary, real servers and real faults.
//!
//! | module | what |
//! |---|---|
//! | `site` | a private exchange, core, store and configuration as a user would write them |
//! | `files` | the text of the configuration |
//! | `claims` | the core's table, and the comparison with the store |
//! | `pairs` | every kind of source to every kind of store, column by column |
//! | `every_type` | a table with every type, and values that cannot be carried |
//! | `large` | values of 1 MB, and a row larger than a message |
//! | `odd_names` | databases of other domains, with odd names, in all four pairs |
//! | `interruptions` | SIGTERM, unreachable exchange, full stream |
//! | `config_errors` | configuration errors, before anything is changed |

mod claims;
mod config_errors;
mod every_type;
mod files;
mod interruptions;
mod large;
mod odd_names;
mod pairs;
mod site;
