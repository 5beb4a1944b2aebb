//! The sequence that fills a cursor column: whether its numbers only increase.

use gate::permit::Permit;
use tokio_postgres::Column;
use tokio_postgres::types::Type;

use super::catalogue::{Relation, unexpected_result};
use super::session::SessionGuard;
use crate::error::{Result, refused};
use crate::keyset::quote;

/// A sequence that belongs to a column or fills it.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    pub(super) oid: u32,
    /// Quoted schema and name.
    pub(super) name: String,
    /// The sequence's cache: sessions get numbers in blocks of this size.
    cache: i64,
    increment: i64,
    cycles: bool,
    /// Whether it belongs to the column.
    is_owned: bool,
    /// Whether the column's default or identity uses it.
    fills: bool,
    /// Whether another column's default uses it.
    is_shared: bool,
    /// Whether the account may read it.
    pub(super) is_readable: bool,
}

/// Children and partitions of the table have columns of their own with the same default.
const SEQUENCES: &str = "WITH RECURSIVE heirs(oid) AS (SELECT $1::oid \
        UNION SELECT i.inhrelid FROM heirs h JOIN pg_catalog.pg_inherits i ON i.inhparent = h.oid) \
    SELECT s.seqrelid, n.nspname::text, c.relname::text, s.seqcache, s.seqincrement, s.seqcycle, \
    pg_catalog.bool_or(x.owned), pg_catalog.bool_or(x.fills), EXISTS (SELECT FROM pg_catalog.pg_depend o \
        JOIN pg_catalog.pg_attrdef e ON e.oid = o.objid WHERE o.classid = 'pg_catalog.pg_attrdef'::regclass \
        AND o.refclassid = 'pg_catalog.pg_class'::regclass AND o.refobjid = s.seqrelid \
        AND (e.adrelid <> ALL (t.oids) OR (e.adrelid = $1 AND e.adnum <> $2))), \
    pg_catalog.has_sequence_privilege(s.seqrelid, 'SELECT') \
    FROM (SELECT d.objid AS seq, true AS owned, d.deptype = 'i' AS fills FROM pg_catalog.pg_depend d \
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass \
        AND d.refobjid = $1 AND d.refobjsubid = $2 AND d.deptype IN ('a', 'i') \
        UNION ALL SELECT d.refobjid, false, true FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d \
        ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid \
        AND d.refclassid = 'pg_catalog.pg_class'::regclass WHERE a.adrelid = $1 AND a.adnum = $2) x \
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = x.seq JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    CROSS JOIN (SELECT pg_catalog.array_agg(h.oid) AS oids FROM heirs h) t GROUP BY 1, 2, 3, 4, 5, 6, t.oids";

/// Returns the sequence of a cursor that is a column of a table, or `None` for a view or an expression.
///
/// # Errors
/// Those of [`find_for_column`].
pub(super) async fn find_for_cursor(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    relations: &[Relation],
    cursor: &Column,
) -> Result<Option<Sequence>> {
    let table = relations
        .iter()
        .find(|one| one.is_stored && Some(one.oid) == cursor.table_oid());
    match table.zip(cursor.column_id()) {
        Some((table, column)) => find_for_column(locked, permit, table.oid, column).await.map(Some),
        None => Ok(None),
    }
}

/// Returns the sequence that fills a column of a table, if its numbers only increase.
///
/// # Errors
/// `Refused` if numbers are reused, decrease, or have another origin.
async fn find_for_column(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    table: u32,
    column: i16,
) -> Result<Sequence> {
    let rows = locked
        .query(permit, SEQUENCES, &[(&table, Type::OID), (&column, Type::INT2)])
        .await?;
    let read = |row: &tokio_postgres::Row| -> std::result::Result<Sequence, tokio_postgres::Error> {
        let (schema, name): (String, String) = (row.try_get(1)?, row.try_get(2)?);
        Ok(Sequence {
            oid: row.try_get(0)?,
            name: format!("{}.{}", quote(&schema), quote(&name)),
            cache: row.try_get(3)?,
            increment: row.try_get(4)?,
            cycles: row.try_get(5)?,
            is_owned: row.try_get(6)?,
            fills: row.try_get(7)?,
            is_shared: row.try_get(8)?,
            is_readable: row.try_get(9)?,
        })
    };
    let found: std::result::Result<Vec<_>, _> = rows.iter().map(read).collect();
    evaluate(found.map_err(|error| unexpected_result(&error))?)
}

/// PURE: selects the sequence that fills the column.
fn evaluate(found: Vec<Sequence>) -> Result<Sequence> {
    const ELSE: &str = "declare cursor_set_by = \"application\" with a lag";
    if let Some(cached) = found.iter().find(|one| one.cache > 1) {
        return Err(refused(
            "the cursor's sequence has a cache, so sessions use smaller numbers later",
            format!("run: ALTER SEQUENCE {} CACHE 1; or {ELSE}", cached.name),
        ));
    }
    let filling: Vec<Sequence> = found.into_iter().filter(|one| one.fills).collect();
    let Ok([one]) = <[Sequence; 1]>::try_from(filling) else {
        return Err(refused(
            "no sequence fills the cursor column, so nothing proves that its numbers only grow",
            format!("make it an identity column (GENERATED ALWAYS AS IDENTITY), or {ELSE}"),
        ));
    };
    let name = &one.name;
    if one.increment < 0 {
        return Err(refused(
            "the cursor's sequence counts down, so new rows would lie below what was read",
            format!("use a column that grows; or {ELSE} over one that does"),
        ));
    }
    if one.cycles {
        return Err(refused(
            "the cursor's sequence begins again when it ends, so numbers are used twice",
            format!("run: ALTER SEQUENCE {name} NO CYCLE; or {ELSE}"),
        ));
    }
    if !one.is_owned || one.is_shared {
        return Err(refused(
            "the cursor's sequence does not belong to the column alone, so others may take its numbers and use them later",
            format!(
                "give the column a sequence of its own (ALTER SEQUENCE {name} OWNED BY …, and no other default that uses it); or {ELSE}"
            ),
        ));
    }
    Ok(one)
}

/// Returns the last number that a sequence assigned, or `None` if it assigned none.
pub(super) async fn last_value(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    sequence: u32,
) -> Result<Option<i64>> {
    let rows = locked
        .query(
            permit,
            "SELECT pg_catalog.pg_sequence_last_value($1)",
            &[(&sequence, Type::OID)],
        )
        .await?;
    let value = rows.first().map(|row| row.try_get(0)).transpose();
    value
        .map(Option::flatten)
        .map_err(|error| unexpected_result(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence() -> Sequence {
        Sequence {
            oid: 7,
            name: "\"public\".\"s\"".into(),
            cache: 1,
            increment: 1,
            cycles: false,
            is_owned: true,
            fills: true,
            is_shared: false,
            is_readable: false,
        }
    }

    #[test]
    fn sequence_of_the_column_that_increases_is_accepted() {
        assert_eq!(evaluate(vec![sequence()]).map(|one| one.oid).ok(), Some(7));
        let step = Sequence {
            increment: 10,
            ..sequence()
        };
        assert!(evaluate(vec![step]).is_ok());
    }

    #[test]
    fn sequence_without_proof_is_refused_with_the_reason() {
        let with = |change: fn(&mut Sequence)| {
            let mut one = sequence();
            change(&mut one);
            evaluate(vec![one])
                .err()
                .map(|error| error.what)
                .unwrap_or_default()
        };
        assert!(with(|one| one.cache = 20).contains("cache"));
        assert!(with(|one| one.increment = -1).contains("counts down"));
        assert!(with(|one| one.cycles = true).contains("begins again"));
        assert!(with(|one| one.is_owned = false).contains("belong"));
        assert!(with(|one| one.is_shared = true).contains("belong"));
        assert!(with(|one| one.fills = false).contains("no sequence"));
        assert!(evaluate(Vec::new()).is_err());
    }
}
