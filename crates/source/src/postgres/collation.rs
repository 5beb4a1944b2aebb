//! Collations of a key's columns. A key with a non-deterministic collation is refused: the database takes several texts as one
//! key, and no other system knows which.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::session::SessionGuard;
use crate::error::{Result, refused};
use crate::feed::FeedDefinition;

const FOLDING: &str = "SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
     WHERE a.attrelid = $1 AND a.attnum = $2 AND NOT c.collisdeterministic";

/// Refuses a key whose column has a non-deterministic collation.
pub(super) async fn check_deterministic(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    columns: &[Column],
) -> Result<()> {
    let of_key = |one: &&Column| feed.key.iter().any(|name| name == one.name());
    for one in columns.iter().filter(of_key) {
        // Also the collation of an array of texts. A type without collation has none in the catalogue.
        let (Some(table), Some(number)) = (one.table_oid(), one.column_id()) else {
            continue;
        };
        let found = locked
            .query(permit, FOLDING, &[(&table, Type::OID), (&number, Type::INT2)])
            .await?;
        if !found.is_empty() {
            return Err(refused(
                format!(
                    "key column {} has a collation that is not deterministic: several texts are one key here, and another \
                     database does not know which",
                    one.name()
                ),
                "give the feed a key of other columns, such as a number, or a generated column of the core that holds the text \
                 in one spelling",
            ));
        }
    }
    Ok(())
}
