//! The block list: persons about whom no rows are sent.

use std::sync::Arc;

use runtime::config::Loaded;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use social::blocklist::Keeper;

use super::SocialFile;
use crate::failure::Failure;

/// Reads the list, if one is configured. The agent does not start if it cannot be read.
pub(crate) fn open_blocklist(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
) -> Result<Option<Keeper>, Failure> {
    let Some(table) = &loaded.value.blocklist else {
        return Ok(None);
    };
    let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
    let keeper = Keeper::start(loaded.resolve(&table.path), Arc::new(persons));
    keeper.map(Some).map_err(|error| {
        Failure::usage(format!(
            "blocklist.path: {error}; without the list it is unknown whose rows must be withheld, so the agent does not \
             start"
        ))
    })
}
