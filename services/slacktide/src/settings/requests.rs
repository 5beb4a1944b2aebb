//! The settings of data requests, for both sides.
//!
//! - [`responder`] the bureau's table; [`requester`] the insurer's
//! - [`kinds`] rules about kinds of requests that need the whole file
//! - [`mod@answer_config`] the responder's configuration, with [`history`] for its forecasts

mod answer_config;
mod history;
mod kinds;
mod requester;
mod responder;
#[cfg(test)]
mod tests;

pub(crate) use answer_config::answer_config;
pub(crate) use requester::RequesterTable;
pub(crate) use responder::ResponderTable;
