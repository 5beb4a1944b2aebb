//! The flow under test: real servers, faults, simulation.
//!
//! | module | what |
//! |---|---|
//! | `law` | which crate may depend on which |

mod law;
