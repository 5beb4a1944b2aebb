//! Each credential against everything that is not its own, on the real server with the generated accounts.
//!
//! What is tried is derived from the table of rights, so that a new right is attacked, too.
//!
//! | module | what |
//! |---|---|
//! | `scene` | streams with messages of every party, and deliveries that wait for an acknowledgement |
//! | `snapshot` | everything that the exchange holds, and what of it a party may have changed |
//! | `targets` | subjects that no party may reach, and what it would send there |
//! | `deputy` | requests whose answer the server is to write, or to execute, somewhere else |
//! | `headers` | headers by which a message asks the server for something |
//! | `filling` | streams filled until they refuse, and what the others can do then |
//! | `acknowledgement` | acknowledgements of what another consumer delivered |

mod acknowledgement;
mod deputy;
mod filling;
mod headers;
mod scene;
mod snapshot;
mod targets;
