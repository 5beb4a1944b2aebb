//! PURE: an error of the driver in one line. Its own text leaves out what is beneath.

use std::error::Error as _;

use crate::answer::Answer;

/// The text with those of the errors beneath it, each once. Of an answer of the server only what may be passed on.
#[must_use]
pub fn cause(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return Answer::of(answer).to_string();
    }
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(next) = inner {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        inner = next.source();
    }
    text
}
