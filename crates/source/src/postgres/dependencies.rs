//! What a feed's SQL depends on: tables behind views, partitions, and commits that the fence cannot see.
//!
//! A fence is valid for rows that this database's transactions write. Rows of foreign tables, of functions that fetch them, of
//! materialised views and of logical subscriptions become visible at other times, so a feed over them must declare a lag. Names
//! are resolved through the catalogue; the query plan shows what the catalogue does not.

use gate::permit::Permit;
use tokio_postgres::types::Type;

use super::catalogue::{quoted_names, unexpected_result};
use super::session::SessionGuard;
use crate::error::{Error, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{quote, subquery};

/// A relation that the SQL reads, directly or through a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// Quoted schema and name.
    name: String,
    /// Its `relkind`: `r` a table, `p` a partitioned one, `v` a view, `m` a materialised view, `f` a foreign table.
    kind: String,
    /// Whether a logical subscription fills it.
    is_subscribed: bool,
    /// Whether it is a partition or a child of another table. These are created and dropped.
    is_part: bool,
}

const REACHED: &str = "WITH RECURSIVE reached(oid) AS ( \
    SELECT c.oid FROM unnest($1) AS t(name) JOIN pg_catalog.pg_class c ON c.oid = to_regclass(t.name) \
    UNION SELECT n.oid FROM reached r CROSS JOIN LATERAL ( \
        SELECT d.refobjid AS oid FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d \
        ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid \
        AND d.refclassid = 'pg_catalog.pg_class'::regclass WHERE w.ev_class = r.oid \
        UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid) n) \
    SELECT n.nspname::text, c.relname::text, c.relkind::text, \
        EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = c.oid), \
        EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) \
    FROM reached r JOIN pg_catalog.pg_class c ON c.oid = r.oid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1, 2";

/// Resolves the names after FROM and JOIN.
pub(super) async fn resolve(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    names: &[Vec<String>],
) -> Result<Vec<Dependency>> {
    let names = quoted_names(names);
    let rows = locked
        .query(permit, REACHED, &[(&names, Type::TEXT_ARRAY)])
        .await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<Dependency, tokio_postgres::Error> {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Dependency {
            name: format!("{}.{}", quote(&schema), quote(&name)),
            kind: row.try_get(2)?,
            is_subscribed: row.try_get(3)?,
            is_part: row.try_get(4)?,
        })
    };
    let read: std::result::Result<_, _> = rows.iter().map(read).collect();
    read.map_err(|error| unexpected_result(&error))
}

/// PURE: tables whose identity is permanent.
pub(super) fn tables(resolve: &[Dependency]) -> Vec<String> {
    let is_lasting = |one: &&Dependency| matches!(one.kind.as_str(), "r" | "p" | "f") && !one.is_part;
    resolve
        .iter()
        .filter(is_lasting)
        .map(|one| one.name.clone())
        .collect()
}

/// Checks that the fence sees every commit that writes rows of the feed.
///
/// # Errors
/// `Refused` if one may be invisible, unless a lag is declared.
pub(super) fn check_commit_visibility(feed: &FeedDefinition, resolve: &[Dependency]) -> Result<()> {
    if feed.cursor_set_by == CursorSetBy::Application {
        return Ok(());
    }
    resolve.iter().find_map(hidden).map_or(Ok(()), Err)
}

/// Checks the same by the plan, which shows what the catalogue does not. The account may read what the SQL reads.
///
/// # Errors
/// `Refused` if a commit may be invisible, unless a lag is declared.
pub(super) async fn check_plan_visibility(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    sql: &str,
) -> Result<()> {
    if feed.cursor_set_by == CursorSetBy::Application {
        return Ok(());
    }
    // Explained as it is read, so that only a SELECT is accepted.
    let explain = format!("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM {}", subquery(sql));
    let plan = locked.query(permit, &explain, &[]).await?;
    for row in &plan {
        let line: String = row.try_get(0).map_err(|error| unexpected_result(&error))?;
        if let Some(hidden) = hidden_in_plan(&line) {
            return Err(hidden);
        }
    }
    Ok(())
}

const REMEDY: &str = "declare cursor_set_by = \"application\" with a lag above the time that rows need to arrive, or feed from \
     the table that is written";

fn hidden(one: &Dependency) -> Option<Error> {
    let what = match one.kind.as_str() {
        "f" => "is a foreign table: other servers commit its rows, and their transactions are not seen here",
        "m" => "is a materialised view: its rows appear when it is refreshed, later than their times",
        _ if one.is_subscribed => {
            "is filled by a logical subscription: its rows arrive later than the times that they were given"
        }
        _ => return None,
    };
    Some(refused(format!("{} {what}", one.name), REMEDY))
}

/// PURE: returns the error of a plan line that reads what the fence does not see.
fn hidden_in_plan(line: &str) -> Option<Error> {
    let node = line.trim_start().trim_start_matches("->").trim_start();
    let node = node.strip_prefix("Async ").unwrap_or(node);
    if let Some(rest) = node.strip_prefix("Foreign Scan") {
        let name = rest
            .strip_prefix(" on ")
            .and_then(|rest| rest.split_whitespace().next());
        return Some(refused(
            format!(
                "the sql reads the foreign table {}: other servers commit its rows, and their transactions are not seen here",
                name.unwrap_or("behind it")
            ),
            REMEDY,
        ));
    }
    let function = node
        .strip_prefix("Function Scan on ")?
        .split_whitespace()
        .next()?;
    if function.starts_with("pg_catalog.") {
        return None;
    }
    Some(refused(
        format!(
            "the sql reads rows of the function {function}: what it reads, and when that was committed, is not seen"
        ),
        REMEDY,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(kind: &str) -> Dependency {
        Dependency {
            name: "\"public\".\"claims\"".into(),
            kind: kind.into(),
            is_subscribed: false,
            is_part: false,
        }
    }

    #[test]
    fn relation_with_invisible_commits_is_refused() {
        let what = |one: &Dependency| hidden(one).map(|error| error.what).unwrap_or_default();
        assert_eq!(
            what(&resolve("r")) + &what(&resolve("v")) + &what(&resolve("p")),
            ""
        );
        assert!(what(&resolve("f")).contains("foreign table"));
        assert!(what(&resolve("m")).contains("materialised"));
        let subscribed = Dependency {
            is_subscribed: true,
            ..resolve("r")
        };
        assert!(what(&subscribed).contains("subscription"));
    }

    #[test]
    fn dependencies_plan_shows_foreign_scans_and_functions() {
        let is_hidden = |line: &str| hidden_in_plan(line).is_some();
        assert!(is_hidden("Foreign Scan on public.claims c"));
        assert!(is_hidden("        ->  Async Foreign Scan on public.claims c"));
        assert!(is_hidden("  ->  Foreign Scan"));
        assert!(is_hidden("  ->  Function Scan on public.dblink t"));
        assert!(!is_hidden("  ->  Function Scan on pg_catalog.generate_series i"));
        assert!(!is_hidden("  ->  Seq Scan on public.claims"));
        assert!(!is_hidden("        Filter: (claims.note = 'Foreign Scan'::text)"));
    }

    #[test]
    fn dependencies_list_permanent_tables() {
        let part = Dependency {
            is_part: true,
            ..resolve("r")
        };
        assert_eq!(
            tables(&[resolve("v"), resolve("p"), part]),
            ["\"public\".\"claims\""]
        );
    }
}
