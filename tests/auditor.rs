//! What an auditor finds out about a site: the insurer's store as it was, and the trail of a request and of a person.
//!
//! - `site` the auditor's file and commands
//! - `rebuild` a store rebuilt from the stream, and its comparison with the live one
//! - `trails` the trails of requests and persons, against the truth at the core

mod rebuild;
mod site;
mod trails;
