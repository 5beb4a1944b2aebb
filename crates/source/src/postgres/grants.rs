//! The exact privileges of the read-only account.

use servers::{CONNECT_WITHIN, Servers};

use super::catalogue;
use super::failure;
use crate::error::Result;
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{quote, strip_semicolon};
use crate::shape::Shape;

/// Sequences that fill a cursor column. A row with a higher number did not get it from the sequence.
const SEQUENCES: &str = "SELECT n.nspname::text, s.relname::text FROM unnest($1) AS t(name) \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name) AND a.attname = $2 \
    JOIN pg_catalog.pg_depend d ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum \
    AND d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass \
    JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S' \
    JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace ORDER BY 1, 2";

/// Returns the GRANT statements with which `role` may read the feed and take its fence.
///
/// For an operator's command, not for the agent: it opens a short connection without a permit, and reads only the catalogue. The
/// account of `url` may be the role itself or an administrator, who sees every schema.
///
/// # Errors
/// Those of the database; `Refused` if a relation that the SQL names does not exist.
pub async fn grants(url: &str, feed: &FeedDefinition, role: &str) -> Result<Vec<String>> {
    let servers = Servers::of(url, "slacktide doctor", CONNECT_WITHIN * 2);
    let servers = servers.map_err(|error| failure::invalid_url(&error))?;
    let fail = |error: tokio_postgres::Error| failure::classify(&error, None);
    let reached = servers.connect().await.map_err(failure::connect_error)?;
    let (client, driver) = (reached.client, reached.driver);
    let connection = tokio::spawn(driver.run());
    let names = catalogue::quoted_names(&Shape::parse(strip_semicolon(&feed.sql)).relations);
    let rows = client
        .query_typed(
            catalogue::RELATIONS,
            &[(&names, tokio_postgres::types::Type::TEXT_ARRAY)],
        )
        .await
        .map_err(fail)?;
    let sequences = match feed.cursor.first() {
        Some(first) if feed.cursor_set_by == CursorSetBy::Sequence => {
            let parameters = [
                (
                    &names as &(dyn tokio_postgres::types::ToSql + Sync),
                    tokio_postgres::types::Type::TEXT_ARRAY,
                ),
                (first, tokio_postgres::types::Type::TEXT),
            ];
            client.query_typed(SEQUENCES, &parameters).await.map_err(fail)?
        }
        _ => Vec::new(),
    };
    drop(client);
    connection.abort();
    let role = quote(role);
    let mut statements = Vec::new();
    for row in &rows {
        let relation = catalogue::relation(row).map_err(fail)?;
        let usage = format!("GRANT USAGE ON SCHEMA {} TO {role};", quote(&relation.schema));
        if !statements.contains(&usage) {
            statements.push(usage);
        }
        statements.push(format!("GRANT SELECT ON {} TO {role};", relation.quoted()));
    }
    for row in &sequences {
        let (schema, name): (String, String) = (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
        statements.push(format!(
            "GRANT SELECT ON SEQUENCE {}.{} TO {role};",
            quote(&schema),
            quote(&name)
        ));
    }
    if feed.cursor_set_by != CursorSetBy::Application {
        statements.push(format!("GRANT pg_read_all_stats TO {role};"));
    }
    Ok(statements)
}
