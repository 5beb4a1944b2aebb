//! What the read-only account needs, to the letter.

use servers::{CONNECT_WITHIN, Servers};

use super::catalogue;
use super::failure;
use crate::error::Result;
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{bare, quote};
use crate::shape::Shape;

/// The GRANT statements with which `role` may read the feed and take its fence.
///
/// For an operator's command, not for the agent: it opens a short connection of its own, without
/// a permit, and looks into the catalogue only. The account of `url` may be the role itself or an
/// administrator, who sees every schema.
///
/// # Errors
/// As the database answers; `Refused` where a relation that the SQL names does not exist.
pub async fn grants(url: &str, feed: &FeedDefinition, role: &str) -> Result<Vec<String>> {
    let servers = Servers::of(url, "slacktide doctor", CONNECT_WITHIN * 2);
    let servers = servers.map_err(|error| failure::of_url(&error))?;
    let fail = |error: tokio_postgres::Error| failure::of(&error, None);
    let reached = servers.connect().await.map_err(failure::unreached)?;
    let (client, driver) = (reached.client, reached.driver);
    let connection = tokio::spawn(driver.run());
    let names = catalogue::quoted_names(&Shape::of(bare(&feed.sql)).relations);
    let rows = client
        .query_typed(
            catalogue::RELATIONS,
            &[(&names, tokio_postgres::types::Type::TEXT_ARRAY)],
        )
        .await
        .map_err(fail)?;
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
    if feed.cursor_set_by != CursorSetBy::Application {
        statements.push(format!("GRANT pg_read_all_stats TO {role};"));
    }
    Ok(statements)
}
