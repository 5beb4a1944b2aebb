//! Collations of a key's columns. Under one that is not deterministic the database takes several spellings for one key,
//! and nobody else can tell which: such a key is refused.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::session::Turn;
use crate::error::{Result, refused};
use crate::feed::FeedDefinition;

const FOLDING: &str = "SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
     WHERE a.attrelid = $1 AND a.attnum = $2 AND NOT c.collisdeterministic";

/// Refuses a key whose column's collation takes several texts for one.
pub(super) async fn deterministic(
    turn: &mut Turn<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    columns: &[Column],
) -> Result<()> {
    let of_key = |one: &&Column| feed.key.iter().any(|name| name == one.name());
    for one in columns.iter().filter(of_key) {
        // Also of an array of texts; what has no collation has none in the catalogue.
        let (Some(table), Some(number)) = (one.table_oid(), one.column_id()) else {
            continue;
        };
        let found = turn
            .query(permit, FOLDING, &[(&table, Type::OID), (&number, Type::INT2)])
            .await?;
        if !found.is_empty() {
            return Err(refused(
                format!(
                    "key column {} has a collation that is not deterministic: several texts are one key here, and another \
                     database cannot tell which",
                    one.name()
                ),
                "give the feed a key of other columns, such as a number, or a generated column of the core that holds the text \
                 in one spelling",
            ));
        }
    }
    Ok(())
}
