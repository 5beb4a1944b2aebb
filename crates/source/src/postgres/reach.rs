//! What a feed's SQL reaches: tables behind views, partitions, and what commits where the fence cannot see it.
//!
//! A fence holds for rows that the transactions of this database write. Rows of foreign tables, of functions that fetch them,
//! of materialised views and of logical subscriptions become visible at other times than theirs, so a feed over them
//! has to declare a lag. Names are followed through the catalogue; the plan shows what the catalogue does not tell.

use gate::permit::Permit;
use tokio_postgres::types::Type;

use super::catalogue::{odd, quoted_names};
use super::session::Turn;
use crate::error::{Error, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::keyset::{quote, subquery};

/// A relation that the SQL reads, by name or behind a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    /// Schema and name, quoted.
    name: String,
    /// As the catalogue has it: `r` a table, `p` a partitioned one, `v` a view, `m` a materialised one, `f` foreign.
    kind: String,
    /// A logical subscription fills it.
    is_subscribed: bool,
    /// A partition, or an heir of another table: these come and go.
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

/// Follows the names behind FROM and JOIN.
pub(super) async fn reached(
    turn: &mut Turn<'_>,
    permit: &Permit,
    names: &[Vec<String>],
) -> Result<Vec<Reached>> {
    let names = quoted_names(names);
    let rows = turn.query(permit, REACHED, &[(&names, Type::TEXT_ARRAY)]).await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<Reached, tokio_postgres::Error> {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(Reached {
            name: format!("{}.{}", quote(&schema), quote(&name)),
            kind: row.try_get(2)?,
            is_subscribed: row.try_get(3)?,
            is_part: row.try_get(4)?,
        })
    };
    let read: std::result::Result<_, _> = rows.iter().map(read).collect();
    read.map_err(|error| odd(&error))
}

/// PURE: tables that are the same as long as they are not made again.
pub(super) fn tables(reached: &[Reached]) -> Vec<String> {
    let is_lasting = |one: &&Reached| matches!(one.kind.as_str(), "r" | "p" | "f") && !one.is_part;
    reached
        .iter()
        .filter(is_lasting)
        .map(|one| one.name.clone())
        .collect()
}

/// Checks that the fence sees every commit that brings rows of the feed.
///
/// # Errors
/// `Refused` where one may be hidden, unless a lag is declared.
pub(super) fn commits_seen(feed: &FeedDefinition, reached: &[Reached]) -> Result<()> {
    if feed.cursor_set_by == CursorSetBy::Application {
        return Ok(());
    }
    reached.iter().find_map(hidden).map_or(Ok(()), Err)
}

/// The same by the plan, which shows what the catalogue does not tell. The account may read what the SQL reads.
///
/// # Errors
/// `Refused` where a commit may be hidden, unless a lag is declared.
pub(super) async fn commits_planned(
    turn: &mut Turn<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    sql: &str,
) -> Result<()> {
    if feed.cursor_set_by == CursorSetBy::Application {
        return Ok(());
    }
    // As it is read: what is no SELECT is none here, either.
    let explain = format!("EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM {}", subquery(sql));
    let plan = turn.query(permit, &explain, &[]).await?;
    for row in &plan {
        let line: String = row.try_get(0).map_err(|error| odd(&error))?;
        if let Some(hidden) = hidden_in_plan(&line) {
            return Err(hidden);
        }
    }
    Ok(())
}

const REMEDY: &str = "declare cursor_set_by = \"application\" with a lag above the time that rows need to arrive, or feed from \
     the table that is written";

fn hidden(one: &Reached) -> Option<Error> {
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

/// PURE: a line of a plan that reads what the fence does not see.
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

    fn reached(kind: &str) -> Reached {
        Reached {
            name: "\"public\".\"claims\"".into(),
            kind: kind.into(),
            is_subscribed: false,
            is_part: false,
        }
    }

    #[test]
    fn relation_whose_commits_are_not_seen_is_refused_by_its_kind() {
        let what = |one: &Reached| hidden(one).map(|error| error.what).unwrap_or_default();
        assert_eq!(
            what(&reached("r")) + &what(&reached("v")) + &what(&reached("p")),
            ""
        );
        assert!(what(&reached("f")).contains("foreign table"));
        assert!(what(&reached("m")).contains("materialised"));
        let subscribed = Reached {
            is_subscribed: true,
            ..reached("r")
        };
        assert!(what(&subscribed).contains("subscription"));
    }

    #[test]
    fn plan_shows_foreign_scans_and_functions_of_others() {
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
    fn tables_are_those_that_last() {
        let part = Reached {
            is_part: true,
            ..reached("r")
        };
        assert_eq!(
            tables(&[reached("v"), reached("p"), part]),
            ["\"public\".\"claims\""]
        );
    }
}
