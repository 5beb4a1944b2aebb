//! Reads the properties of a table that decide how its rows are written, and that make it unusable.
//!
//! The table's owner may change them at any time, so they are read in the transaction that writes, after the lock
//! that keeps them.

use tokio_postgres::types::Type;

use super::super::failure;
use super::super::session::Session;
use crate::error::{Error, Result};
use crate::layout::{LaneTables, Role};
use crate::sql_name::listed;
use crate::table::KEY;

/// How a row finds its older version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// By the key columns.
    Typed,
    /// By the key columns, if the canonical key is equal too.
    Guarded,
    /// By the canonical key, which has a unique index.
    Keyed,
}

/// The properties of a table of newest versions.
pub(super) struct Traits {
    /// Computed columns.
    pub(super) generated: Vec<String>,
    /// Columns that can be written only once: `GENERATED ALWAYS AS IDENTITY`.
    pub(super) identity: Vec<String>,
    /// Whether a trigger may ignore a row.
    pub(super) is_watched: bool,
    /// Whether row policies apply to the account.
    pub(super) is_secured: bool,
    /// How a row finds its older version.
    pub(super) merge: Merge,
    /// Whether the table may hold rows without a canonical key, from before it had the column.
    pub(super) is_claimed: bool,
}

/// A policy that shows all rows has the expression `true`. `$2`: whether rows may be deleted.
const READ: &str = "SELECT \
     ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
       AND NOT a.attisdropped AND a.attgenerated <> ''), \
     ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
       AND NOT a.attisdropped AND a.attidentity = 'a'), \
     EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal \
       AND t.tgenabled IN ('O', 'A') AND t.tgtype & 3 = 3), \
     pg_catalog.row_security_active(c.oid), \
     pg_catalog.row_security_active(c.oid) AND EXISTS (SELECT FROM unnest(ARRAY['r', 'w', 'd']) AS cmd \
       WHERE (cmd <> 'd' OR $2) AND (NOT EXISTS (SELECT FROM policies p WHERE p.polpermissive \
         AND p.polcmd::text IN (cmd, '*') AND p.qual = 'true') \
       OR EXISTS (SELECT FROM policies p WHERE NOT p.polpermissive AND p.polcmd::text IN (cmd, '*') \
         AND p.qual <> 'true'))), \
     EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled IN ('O', 'A') \
       AND (r.ev_type IN ('2', '3') OR (r.ev_type = '4' AND r.is_instead))), \
     EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $3 AND NOT a.attisdropped), \
     EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid \
       AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND a.attname = $3 AND i.indnkeyatts = 1 AND i.indisunique \
       AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL) \
     FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)";

/// The policies that apply to the account.
const POLICIES: &str = "WITH policies AS (SELECT p.polcmd, p.polpermissive, \
     pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS qual FROM pg_catalog.pg_policy p WHERE p.polrelid = to_regclass($1) \
     AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_catalog.pg_has_role(r, 'USAGE')))";

/// Reads the properties of the table of newest versions. A table that would hide, drop or alter rows is an error.
/// `sent` are the written columns, `key` the key columns.
pub(super) async fn traits(
    session: &Session,
    tables: &LaneTables,
    (sent, key): (&[String], &[String]),
    has_tombstones: bool,
) -> Result<Traits> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let table = tables.layout.sql(&tables.layout.table);
    let rows = session
        .client
        .query_typed(
            &format!("{POLICIES} {READ}"),
            &[
                (&table, Type::TEXT),
                (&has_tombstones, Type::BOOL),
                (&KEY, Type::TEXT),
            ],
        )
        .await
        .map_err(fail)?;
    let Some(row) = rows.first() else {
        return Err(Error::of_lane(
            &tables.lane,
            format!("its {} {table} no longer exists", Role::Current.word()),
            "restore it from a backup, or rename it back",
        ));
    };
    let (generated, identity): (Vec<String>, Vec<String>) =
        (row.try_get(0).map_err(fail)?, row.try_get(1).map_err(fail)?);
    let flag = |at: usize| row.try_get::<_, bool>(at).map_err(fail);
    let refuse = |what: String, remedy: String| Err(Error::of_lane(&tables.lane, what, remedy));
    if flag(4)? {
        return refuse(
            format!(
                "policies of {table} may hide rows from the account, so that newer versions would miss older ones"
            ),
            format!(
                "run ALTER ROLE … BYPASSRLS for it, or give it a policy without a condition: CREATE POLICY … ON {table} TO … \
                 USING (true) WITH CHECK (…)"
            ),
        );
    }
    if flag(5)? {
        return refuse(
            format!(
                "{table} has a rule for INSERT or UPDATE, or one in place of DELETE, which would take rows elsewhere"
            ),
            "make a trigger of the rule, or drop it, or name another table under [store.feed]".to_owned(),
        );
    }
    let within = |names: &[String], these: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|name| names.contains(name))
            .cloned()
            .collect()
    };
    let computed = within(&generated, key);
    if !computed.is_empty() {
        return refuse(
            format!(
                "{table} computes {}, which is part of the feed's key",
                listed(computed.iter().map(String::as_str))
            ),
            format!(
                "give the key a column of its own: columns = {{ … }} under [store.feed.{}]",
                tables.key
            ),
        );
    }
    let mut fixed = within(&identity, sent);
    fixed.retain(|name| !key.contains(name));
    if let Some(name) = fixed.first() {
        return refuse(
            format!(
                "column {name:?} of {table} is GENERATED ALWAYS AS IDENTITY, so a newer version could not change it"
            ),
            format!(
                "run ALTER TABLE {table} ALTER COLUMN {} SET GENERATED BY DEFAULT",
                listed([name.as_str()])
            ),
        );
    }
    let merge = match (flag(6)?, flag(7)?) {
        (_, true) => Merge::Keyed,
        (true, false) => Merge::Guarded,
        (false, false) => Merge::Typed,
    };
    Ok(Traits {
        generated,
        identity,
        is_watched: flag(2)?,
        is_secured: flag(3)?,
        is_claimed: merge == Merge::Keyed
            && (tables.adopts(Role::Current) || has_unclaimed(session, &table).await?),
        merge,
    })
}

/// Returns whether the table holds a row without a canonical key. The index over it answers quickly.
async fn has_unclaimed(session: &Session, table: &str) -> Result<bool> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let sql = format!("SELECT EXISTS (SELECT FROM {table} WHERE {KEY} IS NULL)");
    let row = session.client.query_one(&sql, &[]).await.map_err(fail)?;
    row.try_get(0).map_err(fail)
}
