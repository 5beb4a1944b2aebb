//! PURE: an error of the driver in one line. Its own text leaves out what is beneath.

use std::error::Error as _;

/// The text with those of the errors beneath it, each once.
#[must_use]
pub fn cause(error: &tokio_postgres::Error) -> String {
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
