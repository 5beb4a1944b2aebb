//! Checks a feed for rows with a null cursor. A keyset query never returns them, so a drained feed is searched periodically.

use std::time::Duration;

use tracing::warn;

use crate::error::{ErrorKind, Result, refused};
use crate::feed::FeedDefinition;

/// The interval between searches.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// Evaluates a search: `found` is whether such a row exists. A search that times out proves nothing.
pub(crate) fn check_null_search(feed: &FeedDefinition, found: Result<bool>) -> Result<()> {
    match found {
        Ok(false) => Ok(()),
        Ok(true) => Err(refused(
            format!(
                "rows with a null in cursor ({}) would never be read",
                feed.cursor.join(", ")
            ),
            "make the columns NOT NULL, or exclude such rows in the feed's sql",
        )),
        Err(error) if error.kind == ErrorKind::TimedOut => {
            warn!(feed = %feed.name, "search for null cursors exceeded the statement timeout, not checked");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
