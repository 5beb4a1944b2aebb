//! Frees unique values of older versions, so that rows can be written that hold each other's values.

use super::super::failure;
use super::super::session::Session;
use super::target::Target;
use crate::arrival::Arrival;
use crate::error::Result;
use crate::layout::LaneTables;
use crate::merge::every;
use crate::sql_name::quoted;
use crate::table::{EPOCH, NUMBER};

/// Columns, each with the expression that frees its value temporarily.
pub(in crate::postgres) type FreedColumns = (String, String);

/// Returns one column of each unique index or exclusion constraint except the key, preferably a nullable one. Returns
/// `None` if the temporary value would be visible: a trigger, or rows of another table that follow the column.
pub(in crate::postgres) async fn columns_to_free(
    session: &Session,
    tables: &LaneTables,
    key: &[String],
) -> Result<Option<Vec<FreedColumns>>> {
    let fail = |error: tokio_postgres::Error| failure::of(&error);
    let table = tables.layout.sql(&tables.layout.table);
    let seen = session
        .client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = to_regclass($1) AND NOT t.tgisinternal \
             AND t.tgenabled IN ('O', 'A') AND t.tgtype & 16 = 16)",
            &[&table],
        )
        .await
        .map_err(fail)?;
    if seen.try_get::<_, bool>(0).map_err(fail)? {
        return Ok(None);
    }
    let rows = session
        .client
        .query(
            "SELECT i.indexrelid, a.attname::text, a.attnotnull OR coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false), \
             a.atttypid::regtype::text, EXISTS (SELECT FROM pg_catalog.pg_constraint f WHERE f.contype = 'f' \
             AND f.confrelid = i.indrelid AND a.attnum = ANY (f.confkey)) \
             FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid \
             AND a.attnum = ANY (i.indkey::int2[]) AND a.attgenerated = '' AND a.attidentity <> 'a' \
             WHERE i.indrelid = to_regclass($1) AND (i.indisunique OR i.indisexclusion) AND a.attname <> ALL ($2::text[]) \
             AND a.attname NOT LIKE '\\_slacktide\\_%' ORDER BY i.indexrelid, 3, a.attnum",
            &[&table, &key],
        )
        .await
        .map_err(fail)?;
    let (mut columns_to_free, mut last): (Vec<FreedColumns>, u32) = (Vec::new(), 0);
    for row in &rows {
        let index: u32 = row.try_get(0).map_err(fail)?;
        let name: String = row.try_get(1).map_err(fail)?;
        let (is_bound, kind): (bool, String) = (row.try_get(2).map_err(fail)?, row.try_get(3).map_err(fail)?);
        if row.try_get::<_, bool>(4).map_err(fail)? {
            return Ok(None);
        }
        if index == last || columns_to_free.iter().any(|(known, _)| *known == name) {
            last = index;
            continue;
        }
        let Some(value) = (if is_bound {
            placeholder_value(&kind)
        } else {
            Some("NULL")
        }) else {
            continue;
        };
        last = index;
        columns_to_free.push((name, value.to_owned()));
    }
    Ok((!columns_to_free.is_empty()).then_some(columns_to_free))
}

/// PURE: returns a value that no row has, for a column without NULL.
fn placeholder_value(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "text" | "character varying" | "character" => "'~' || left(md5(random()::text), 20)",
        "smallint" => "(-1 - floor(random() * 32000))::smallint",
        "integer" => "(-1 - floor(random() * 2000000000))::integer",
        "bigint" => "(-1 - floor(random() * 9000000000000000))::bigint",
        "numeric" => "-1 - floor(random() * 9000)",
        "uuid" => "md5(random()::text)::uuid",
        "date" => "'0001-01-01'::date + floor(random() * 300000)::integer",
        "timestamp with time zone" => {
            "'0001-01-01 00:00:00+00'::timestamptz + random() * interval '300000 days'"
        }
        "timestamp without time zone" => {
            "'0001-01-01 00:00:00'::timestamp + random() * interval '300000 days'"
        }
        _ => return None,
    })
}

impl Target<'_> {
    /// Frees the unique values of the older version of a single row; `false` if its table does not allow it, and the
    /// transaction must be rolled back.
    pub(in crate::postgres) async fn free_unique_values(
        &self,
        session: &Session,
        arrival: &Arrival,
        columns_to_free: &[FreedColumns],
    ) -> Result<bool> {
        let Some((table, stage, same)) = self.current_by_stage() else {
            return Ok(true);
        };
        let all = every(self.schema(), &[(0, arrival)]).map_err(|error| super::target::unread(&error))?;
        self.fill_stage(session, &all).await?;
        let sets: Vec<String> = columns_to_free
            .iter()
            .map(|(name, value)| format!("{} = {value}", quoted(name)))
            .collect();
        let parked = format!(
            "UPDATE {table} t SET {} FROM {stage} s WHERE {same} AND (t.{EPOCH}, t.{NUMBER}) < (s.{EPOCH}, s.{NUMBER})",
            sets.join(", ")
        );
        match session.client.batch_execute(&parked).await {
            Ok(()) => Ok(true),
            Err(error) if failure::of_row(&error, &[]).is_some() => Ok(false),
            Err(error) => Err(failure::of(&error)),
        }
    }
}
