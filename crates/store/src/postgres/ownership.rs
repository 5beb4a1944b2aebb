//! Finds the owner of a table: reads `tables` and compares it with the object that has the name now.
//!
//! A recorded table is compared by its oid. A lock keeps the compared table until the transaction ends.

use super::failure;
use super::session::Session;
use super::table_lock::make_unless;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::ownership::{Claim, FoundTable, TableRecord, claim, mark, writable};
use crate::table::EPOCH;

const TABLES_SQL: &str = "
CREATE TABLE IF NOT EXISTS slacktide.tables (
    recipient text NOT NULL, owner text NOT NULL, role text NOT NULL,
    origin text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    oid bigint NOT NULL, bookkeeping_oid bigint NOT NULL, mark text NOT NULL, since timestamptz NOT NULL,
    PRIMARY KEY (recipient, owner, role));
";

/// The oid of the bookkeeping table. It differs in a restored database, whose tables have other oids too.
const BOOKKEEPING_OID: &str = "to_regclass('slacktide.tables')::oid::bigint";

/// Finds the tables of a restored database by their marks. A table without its mark has no owner.
fn rebind() -> String {
    format!(
        "UPDATE slacktide.tables t SET bookkeeping_oid = {BOOKKEEPING_OID}, oid = coalesce((SELECT c.oid::bigint FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = '{EPOCH}' AND NOT a.attisdropped \
         WHERE n.nspname = t.schema_name AND c.relname = t.table_name AND c.relkind IN ('r', 'p') \
         AND pg_catalog.col_description(c.oid, a.attnum) = t.mark), 0) WHERE t.bookkeeping_oid <> {BOOKKEEPING_OID}"
    )
}

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let existing = "SELECT to_regclass('slacktide.tables') IS NOT NULL";
    make_unless(session, existing, TABLES_SQL).await?;
    let moved = format!(
        "SELECT NOT EXISTS (SELECT FROM slacktide.tables WHERE bookkeeping_oid <> {BOOKKEEPING_OID})"
    );
    make_unless(session, &moved, &format!("{};", rebind())).await
}

/// Returns the object under a table's name.
pub(super) async fn find_table(
    session: &Session,
    tables: &LaneTables,
    role: Role,
    table: &str,
) -> Result<FoundTable> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let sql = format!(
        "SELECT c.relkind::text, t.recipient, t.owner, t.role, t.origin FROM pg_catalog.pg_class c \
         LEFT JOIN slacktide.tables t ON t.oid = c.oid::bigint AND t.bookkeeping_oid = {BOOKKEEPING_OID} WHERE c.oid = to_regclass($1)"
    );
    let statement = session.prepared(&sql).await.map_err(fail)?;
    let found = session
        .client
        .query_opt(&statement, &[&tables.layout.sql(table)])
        .await
        .map_err(fail)?;
    let Some(row) = found else {
        return Ok(FoundTable::Missing);
    };
    let kind: String = row.try_get(0).map_err(fail)?;
    let text = |at: usize| row.try_get::<_, Option<String>>(at).map_err(fail);
    let kind = match kind.as_str() {
        "r" | "p" => None,
        "v" | "m" => Some("view"),
        "i" | "I" => Some("index"),
        "S" => Some("sequence"),
        "f" => Some("foreign table"),
        _ => Some("type or another object"),
    };
    if let Some(kind) = kind {
        return Ok(FoundTable::NotTable(kind.to_owned()));
    }
    let (Some(recipient), Some(owner), Some(of), Some(origin)) = (text(1)?, text(2)?, text(3)?, text(4)?)
    else {
        return Ok(FoundTable::Foreign);
    };
    let recorded = TableRecord {
        recipient,
        owner,
        role: of,
        origin,
    };
    Ok(recorded.found(tables, role))
}

/// Decides how a lane gets a table. The table stays locked until the transaction ends.
pub(super) async fn decide(session: &Session, tables: &LaneTables, role: Role, table: &str) -> Result<Claim> {
    let first = claim(
        tables,
        role,
        table,
        &find_table(session, tables, role, table).await?,
    )?;
    if first == Claim::Make {
        return Ok(first);
    }
    lock(session, &tables.layout.sql(table)).await?;
    claim(
        tables,
        role,
        table,
        &find_table(session, tables, role, table).await?,
    )
}

async fn lock(session: &Session, tables: &str) -> Result<()> {
    session
        .run(&format!("LOCK TABLE {tables} IN ROW EXCLUSIVE MODE"))
        .await
}

/// Checks that the tables of these roles may be written, and locks them until the transaction ends; `false` if one of
/// them must be adopted first.
pub(super) async fn lock_tables(session: &Session, tables: &LaneTables, roles: &[Role]) -> Result<bool> {
    let held: Vec<(Role, &str)> = tables.roles().filter(|(role, _)| roles.contains(role)).collect();
    let names: Vec<String> = held.iter().map(|(_, table)| tables.layout.sql(table)).collect();
    lock(session, &names.join(", "))
        .await
        .map_err(|error| match error.kind {
            ErrorKind::Refused => Error::of_lane(
                &tables.lane,
                format!("{} cannot be written: {}", names.join(", "), error.what),
                "restore the table from a backup, or rename it back",
            ),
            _ => error,
        })?;
    check(session, tables, &held).await
}

async fn check(session: &Session, tables: &LaneTables, held: &[(Role, &str)]) -> Result<bool> {
    let mut all = true;
    for (role, table) in held {
        let found = find_table(session, tables, *role, table).await?;
        all &= writable(tables, *role, table, &found)?;
    }
    Ok(all)
}

/// Returns whether the configuration names a table that is recorded under another identity, so that it must be
/// adopted.
pub(super) async fn is_adoption_due(session: &Session, tables: &LaneTables) -> Result<bool> {
    let held: Vec<(Role, &str)> = tables.roles().collect();
    Ok(!check(session, tables, &held).await?)
}

/// Returns the error that explains a failed statement by the ownership of its tables; `None` if one of them must be
/// adopted first.
pub(super) async fn explain(session: &Session, tables: &LaneTables, error: Error) -> Option<Error> {
    if error.kind != ErrorKind::Refused {
        return Some(error);
    }
    match is_adoption_due(session, tables).await {
        Ok(true) => None,
        Ok(false) => Some(error),
        Err(why) => Some(why),
    }
}

/// Records the owner of a table. A created table also carries its mark.
pub(super) async fn record(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
    origin: &str,
) -> Result<()> {
    let (sql, mark) = (tables.layout.sql(table), mark(tables, role));
    if origin == "created" {
        session
            .run(&format!("COMMENT ON COLUMN {sql}.{EPOCH} IS '{mark}'"))
            .await?;
    }
    // A recreated table must get the rows of the lost one, so its row count is kept.
    let recorded = format!(
        "INSERT INTO slacktide.tables (recipient, owner, role, origin, schema_name, table_name, oid, bookkeeping_oid, mark, since, base_rows) \
         SELECT $1, $2, $3, $4, n.nspname, c.relname, c.oid::bigint, {BOOKKEEPING_OID}, $6, clock_timestamp(), \
         CASE WHEN $4 = 'created' THEN -coalesce((SELECT sum(l.rows_net) FROM slacktide.ledger l WHERE l.recipient = $1 \
         AND 'feed ' || l.feed = $2), 0)::bigint END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($5) \
         ON CONFLICT (recipient, owner, role) DO UPDATE SET origin = excluded.origin, schema_name = excluded.schema_name, \
         table_name = excluded.table_name, oid = excluded.oid, bookkeeping_oid = excluded.bookkeeping_oid, mark = excluded.mark, \
         since = excluded.since"
    );
    session
        .client
        .execute(
            &recorded,
            &[
                &tables.owner.recipient().as_str(),
                &tables.owner.key(),
                &role.word(),
                &origin,
                &sql,
                &mark,
            ],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}

/// Records the current name of an owner's table.
pub(super) async fn rename(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
) -> Result<()> {
    session
        .client
        .execute(
            "UPDATE slacktide.tables t SET schema_name = n.nspname, table_name = c.relname FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($4) \
             AND t.recipient = $1 AND t.owner = $2 AND t.role = $3",
            &[
                &tables.owner.recipient().as_str(),
                &tables.owner.key(),
                &role.word(),
                &tables.layout.sql(table),
            ],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}

/// Removes an owner's tables from the bookkeeping: they were renamed and have no owner.
pub(super) async fn forget(session: &Session, tables: &LaneTables) -> Result<()> {
    session
        .client
        .execute(
            "DELETE FROM slacktide.tables WHERE recipient = $1 AND owner = $2",
            &[&tables.owner.recipient().as_str(), &tables.owner.key()],
        )
        .await
        .map(|_| ())
        .map_err(|error| failure::of(&error))
}
