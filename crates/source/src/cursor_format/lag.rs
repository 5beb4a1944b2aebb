//! Whether a declared lag exceeds the cursor's resolution.

use std::time::Duration;

use super::lag_to_write;
use crate::error::{Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};

/// Refuses a feed whose lag does not exceed its cursor's step. Rows within one step share a position, so a row that is written
/// after another was read would be skipped.
pub(crate) fn exceeds(feed: &FeedDefinition, step: Option<Duration>) -> Result<()> {
    let Some(step) = step.filter(|step| *step > Duration::from_micros(1)) else {
        return Ok(());
    };
    if feed.cursor_set_by != CursorSetBy::Application || feed.lag > step {
        return Ok(());
    }
    let first = feed.cursor.first().map_or("", String::as_str);
    Err(refused(
        format!(
            "cursor column {first} changes every {}, and lag is {}: rows written later within the same step would be skipped",
            format_span(step),
            format_span(feed.lag)
        ),
        format!(
            "write lag = \"{}\", or order by a column with a finer time",
            lag_to_write(step, feed.lag)
        ),
    ))
}

fn format_span(span: Duration) -> String {
    match span.as_millis() {
        86_400_000 => "day".to_owned(),
        0 => format!("{} µs", span.as_micros()),
        millis if millis % 1_000 == 0 => format!("{} s", millis / 1_000),
        millis => format!("{millis} ms"),
    }
}
