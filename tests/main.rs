//! The flow under test: real servers, faults, simulation.
//!
//! | module | what |
//! |---|---|
//! | `binary` | the one binary, as a user starts it |
//! | `law` | which crate may depend on which |

mod binary;
mod law;
