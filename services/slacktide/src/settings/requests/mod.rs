//! What may be asked, by whom, how much of it; and how often both sides look.
//!
//! - [`answer`] the bureau's table; [`ask`] the insurer's
//! - [`kinds`] what only the whole file can tell of kinds of requests
//! - [`mod@answering`] what the responder goes by, with [`history`] for its forecasts

mod answer;
mod answering;
mod ask;
mod history;
mod kinds;
#[cfg(test)]
mod tests;

pub(crate) use answer::AnswerTable;
pub(crate) use answering::answering;
pub(crate) use ask::AskTable;
