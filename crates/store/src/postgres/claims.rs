//! Whose a table is: read from the bookkeeping and compared with what stands under the name.
//!
//! A table that is recorded is compared by its oid, and a lock keeps what was compared in its place until the
//! transaction ends.

use super::failure;
use super::session::Session;
use crate::claims::{Claim, Found, Recorded, claim, mark, writable};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{LaneTables, Role};
use crate::table::EPOCH;

const OWN: &str = "
CREATE TABLE IF NOT EXISTS slacktide.tables (
    recipient text NOT NULL, owner text NOT NULL, role text NOT NULL,
    origin text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    oid bigint NOT NULL, home bigint NOT NULL, mark text NOT NULL, since timestamptz NOT NULL,
    PRIMARY KEY (recipient, owner, role));
";

/// The oid of the bookkeeping itself: another one in a restored database, whose tables have other oids too.
const HOME: &str = "to_regclass('slacktide.tables')::oid::bigint";

/// Finds the tables of a restored database by their marks. What has lost its mark is nobody's.
fn rebind() -> String {
    format!(
        "UPDATE slacktide.tables t SET home = {HOME}, oid = coalesce((SELECT c.oid::bigint FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = '{EPOCH}' AND NOT a.attisdropped \
         WHERE n.nspname = t.schema_name AND c.relname = t.table_name AND c.relkind IN ('r', 'p') \
         AND pg_catalog.col_description(c.oid, a.attnum) = t.mark), 0) WHERE t.home <> {HOME}"
    )
}

pub(super) async fn prepare(session: &Session) -> Result<()> {
    let lock = super::tables::LOCK;
    let there = "SELECT to_regclass('slacktide.tables') IS NOT NULL";
    if !flag(session, there).await? {
        let made = format!("BEGIN; SELECT pg_advisory_xact_lock({lock}); {OWN} COMMIT");
        session.run(&made).await?;
    }
    let moved = format!("SELECT EXISTS (SELECT FROM slacktide.tables WHERE home <> {HOME})");
    if flag(session, &moved).await? {
        let bound = format!(
            "BEGIN; SELECT pg_advisory_xact_lock({lock}); {}; COMMIT",
            rebind()
        );
        session.run(&bound).await?;
    }
    Ok(())
}

async fn flag(session: &Session, sql: &str) -> Result<bool> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let row = session.client.query_one(sql, &[]).await.map_err(fail)?;
    row.try_get(0).map_err(fail)
}

/// Looks what stands under the name of a table.
pub(super) async fn look(session: &Session, tables: &LaneTables, role: Role, table: &str) -> Result<Found> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let sql = format!(
        "SELECT c.relkind::text, t.recipient, t.owner, t.role, t.origin FROM pg_catalog.pg_class c \
         LEFT JOIN slacktide.tables t ON t.oid = c.oid::bigint AND t.home = {HOME} WHERE c.oid = to_regclass($1)"
    );
    let found = session
        .client
        .query_opt(&sql, &[&tables.layout.sql(table)])
        .await
        .map_err(fail)?;
    let Some(row) = found else {
        return Ok(Found::Nothing);
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
        return Ok(Found::NoTable(kind.to_owned()));
    }
    let (Some(recipient), Some(owner), Some(of), Some(origin)) = (text(1)?, text(2)?, text(3)?, text(4)?)
    else {
        return Ok(Found::Foreign);
    };
    let recorded = Recorded {
        recipient,
        owner,
        role: of,
        origin,
    };
    Ok(recorded.found(tables, role))
}

/// Decides how a lane gets a table, which stays in its place from here on until the transaction ends.
pub(super) async fn decide(session: &Session, tables: &LaneTables, role: Role, table: &str) -> Result<Claim> {
    let first = claim(tables, role, table, &look(session, tables, role, table).await?)?;
    if first == Claim::Make {
        return Ok(first);
    }
    lock(session, &tables.layout.sql(table)).await?;
    claim(tables, role, table, &look(session, tables, role, table).await?)
}

async fn lock(session: &Session, tables: &str) -> Result<()> {
    session
        .run(&format!("LOCK TABLE {tables} IN ROW EXCLUSIVE MODE"))
        .await
}

/// Checks that the tables of these roles may be written, and keeps them in their places until the transaction ends;
/// `false` where one of them has to be adopted first.
pub(super) async fn hold(session: &Session, tables: &LaneTables, roles: &[Role]) -> Result<bool> {
    let held: Vec<(Role, &str)> = tables.roles().filter(|(role, _)| roles.contains(role)).collect();
    let names: Vec<String> = held.iter().map(|(_, table)| tables.layout.sql(table)).collect();
    lock(session, &names.join(", "))
        .await
        .map_err(|error| match error.kind {
            ErrorKind::Refused => Error::of_lane(
                &tables.lane,
                format!("{} cannot be written: {}", names.join(", "), error.what),
                "put the table back, from a backup or from the name that it has now",
            ),
            _ => error,
        })?;
    check(session, tables, &held).await
}

async fn check(session: &Session, tables: &LaneTables, held: &[(Role, &str)]) -> Result<bool> {
    let mut all = true;
    for (role, table) in held {
        let found = look(session, tables, *role, table).await?;
        all &= writable(tables, *role, table, &found)?;
    }
    Ok(all)
}

/// Whether a table that is known under another identity has to be adopted, because the configuration names it.
pub(super) async fn is_adoption_due(session: &Session, tables: &LaneTables) -> Result<bool> {
    let held: Vec<(Role, &str)> = tables.roles().collect();
    Ok(!check(session, tables, &held).await?)
}

/// Returns the error that explains why a statement about the tables failed, where their places explain it;
/// `None` where one of them has to be adopted first.
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

/// Records that a table is its owner's. One that was created carries its mark itself, too.
pub(super) async fn record(
    session: &Session,
    tables: &LaneTables,
    (role, table): (Role, &str),
    origin: &str,
) -> Result<()> {
    let (sql, mark) = (tables.layout.sql(table), mark(tables, role));
    if origin == "made" {
        session
            .run(&format!("COMMENT ON COLUMN {sql}.{EPOCH} IS '{mark}'"))
            .await?;
    }
    // A table that was lost and is made again must have the rows that the lost one had: what was counted stays.
    let recorded = format!(
        "INSERT INTO slacktide.tables (recipient, owner, role, origin, schema_name, table_name, oid, home, mark, since, base) \
         SELECT $1, $2, $3, $4, n.nspname, c.relname, c.oid::bigint, {HOME}, $6, clock_timestamp(), \
         CASE WHEN $4 = 'made' THEN -coalesce((SELECT sum(l.rows_net) FROM slacktide.ledger l WHERE l.recipient = $1 \
         AND 'feed ' || l.feed = $2), 0)::bigint END \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($5) \
         ON CONFLICT (recipient, owner, role) DO UPDATE SET origin = excluded.origin, schema_name = excluded.schema_name, \
         table_name = excluded.table_name, oid = excluded.oid, home = excluded.home, mark = excluded.mark, \
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

/// Notes the name that a table of the owner's has now.
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

/// Forgets the tables of an owner: they have been set aside, and are nobody's.
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
