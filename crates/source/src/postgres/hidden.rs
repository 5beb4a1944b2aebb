//! Rows that the account cannot see: by privileges, row level security, or views that select by the account.

use gate::permit::Permit;
use tokio_postgres::types::Type;

use super::catalogue::{self, Account};
use super::session::SessionGuard;
use crate::error::{Error, ErrorKind, Result};
use crate::keyset::quote;
use crate::shape::Shape;

/// A relation that the SQL reads, directly or through views.
struct ReadRelation {
    name: String,
    /// Whether the SQL names it.
    is_direct: bool,
    has_policies: bool,
    is_readable: bool,
    /// Whether its view selects by the account.
    account_dependency: bool,
}

const READS: &str = "WITH RECURSIVE reads(oid, direct) AS ( \
    SELECT c.oid, true FROM unnest($1) AS t(name) JOIN pg_catalog.pg_class c ON c.oid = to_regclass(t.name) \
    UNION SELECT d.refobjid, false FROM reads r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid \
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid \
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.oid) \
    SELECT n.nspname::text, c.relname::text, bool_or(r.direct), c.relrowsecurity, has_table_privilege(c.oid, 'SELECT'), \
    CASE WHEN c.relkind = 'v' THEN COALESCE(pg_get_viewdef(c.oid) ~ \
    '\\m(CURRENT_USER|SESSION_USER|CURRENT_ROLE|USER)\\M|(current_setting|pg_has_role|pg_get_userbyid|inet_client_addr)\\(', false) \
    ELSE false END \
    FROM reads r JOIN pg_catalog.pg_class c ON c.oid = r.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') GROUP BY c.oid, n.nspname, c.relname, c.relrowsecurity, c.relkind ORDER BY 1, 2";

async fn reads(locked: &mut SessionGuard<'_>, permit: &Permit, shape: &Shape) -> Result<Vec<ReadRelation>> {
    let names = catalogue::quoted_names(&shape.relations);
    let rows = locked.query(permit, READS, &[(&names, Type::TEXT_ARRAY)]).await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<ReadRelation, tokio_postgres::Error> {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(ReadRelation {
            name: format!("{}.{}", quote(&schema), quote(&name)),
            is_direct: row.try_get(2)?,
            has_policies: row.try_get(3)?,
            is_readable: row.try_get(4)?,
            account_dependency: row.try_get(5)?,
        })
    };
    Ok(rows.iter().filter_map(|row| read(row).ok()).collect())
}

/// Adds the cause to a missing-privilege error.
pub(super) async fn explain(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    account: &Account,
    shape: &Shape,
    refused: Error,
) -> Error {
    let Ok(reads) = reads(locked, permit, shape).await else {
        return refused;
    };
    let list = |wanted: &dyn Fn(&&ReadRelation) -> bool| -> Vec<&str> {
        let wanted = reads.iter().filter(wanted);
        wanted.map(|read| read.name.as_str()).collect()
    };
    let role = quote(&account.name);
    if refused.kind == ErrorKind::Refused {
        return Error::new(
            ErrorKind::Refused,
            format!(
                "row level security of {} would hide rows from account {}, which would then be missing in silence",
                list(&|read| read.has_policies).join(", "),
                account.name
            ),
            format!(
                "run as a superuser: ALTER ROLE {role} BYPASSRLS; and write the rows that are meant into the feed's sql"
            ),
        );
    }
    let missing = list(&|read| read.is_direct && !read.is_readable);
    if missing.is_empty() {
        return Error::new(
            ErrorKind::Denied,
            format!(
                "{}, though account {} may read the tables and views that the sql names",
                refused.what, account.name
            ),
            "check EXECUTE on the functions of the sql, and what the owners of its views may read",
        );
    }
    let grants: Vec<String> = missing
        .iter()
        .map(|name| format!("GRANT SELECT ON {name} TO {role};"))
        .collect();
    Error::new(
        ErrorKind::Denied,
        format!(
            "account {} may not read every column that the feed reads",
            account.name
        ),
        format!("run: {}", grants.join(" ")),
    )
}

/// Returns why the account may not see all rows, or `None` if neither the SQL nor a view depends on the account.
pub(super) async fn account_dependency(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    account: &Account,
    sql: &str,
    shape: &Shape,
) -> Result<Option<(String, String)>> {
    let reads = reads(locked, permit, shape).await?;
    let mut asking: Vec<String> = reads
        .iter()
        .filter(|read| read.account_dependency)
        .map(|read| format!("view {}", read.name))
        .collect();
    if depends_on_account(sql) {
        asking.push("the feed's sql".to_owned());
    }
    if asking.is_empty() {
        return Ok(None);
    }
    Ok(Some((
        format!(
            "{} chooses by the account that reads: rows that account {} does not see are missing in silence",
            asking.join(" and "),
            account.name
        ),
        "read the tables themselves, or a view that gives every account the same rows".to_owned(),
    )))
}

/// PURE: whether a SQL text depends on the account.
fn depends_on_account(sql: &str) -> bool {
    use crate::shape::Token;
    const ASKING: [&str; 8] = [
        "current_user",
        "session_user",
        "current_role",
        "user",
        "current_setting",
        "pg_has_role",
        "pg_get_userbyid",
        "inet_client_addr",
    ];
    let tokens = crate::shape::tokens(sql);
    tokens
        .iter()
        .any(|token| matches!(token, Token::Word(word) if ASKING.contains(&word.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_sql_that_depends_on_the_account_is_found() {
        assert!(depends_on_account("SELECT * FROM t WHERE owner = CURRENT_USER"));
        assert!(depends_on_account(
            "SELECT * FROM t WHERE current_setting('app.tenant') = tenant"
        ));
        assert!(!depends_on_account("SELECT \"user\", 'current_user' FROM t"));
    }
}
