//! Rows without a cursor would never be found, so a drained feed is searched for them now and then.

use std::time::Duration;

use tracing::warn;

use crate::error::{ErrorKind, Result, refused};
use crate::feed::FeedDefinition;

/// From search to search.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// What comes of a search: `found` tells whether there is such a row. A search that takes too long tells nothing.
pub(crate) fn judged(feed: &FeedDefinition, found: Result<bool>) -> Result<()> {
    match found {
        Ok(false) => Ok(()),
        Ok(true) => Err(refused(
            format!(
                "rows with a null in cursor ({}) would never be read",
                feed.cursor.join(", ")
            ),
            "make the columns NOT NULL, or leave such rows out in the feed's sql",
        )),
        Err(error) if error.kind == ErrorKind::TimedOut => {
            warn!(feed = %feed.name, "whether a cursor is null could not be told within the statement timeout");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
