//! Checks whether a feed can be served, before any row is read.

use gate::permit::Permit;
use tokio_postgres::Column as WireColumn;
use tokio_postgres::types::Type;
use tracing::{info, warn};

use schemas::column::{Column, RowSchema};

use super::catalogue::{self, Account, Relation};
use super::cell::{self, Wire};
use super::checked_feed::{self, CheckedFeed};
use super::collation;
use super::guard::Facts;
use super::hidden;
use super::key::{self, Proof};
use super::order::Placement;
use super::session::{Session, SessionGuard};
use super::{dependencies, index, key_type, sequence, zone};
use crate::columns::{check_tombstone_column, cursor_indices};
use crate::error::{Error, ErrorKind, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::key_proof::refuse_duplicate_key;
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, column, quote, strip_semicolon, subquery};
use crate::missing_index::MissingIndex;
use crate::nulls;
use crate::shape::Shape;

/// An opened feed, with the evidence about its rows.
#[derive(Debug)]
pub(super) struct OpenedFeed {
    pub(super) checked: CheckedFeed,
    /// The first cursor column: its type and type modifier.
    pub(super) first: (Type, i32),
    pub(super) placement: Placement,
    pub(super) proof: Proof,
    /// Why the account may not see all rows.
    pub(super) account_dependency: Option<(String, String)>,
    /// The index that the cursor needs and that does not exist.
    pub(super) missing_index: Option<MissingIndex>,
}

pub(super) async fn feed(
    session: &Session,
    feed: &FeedDefinition,
    permit: &Permit,
    proof: Option<Proof>,
) -> Result<OpenedFeed> {
    if !feed.types.is_empty() {
        return Err(refused(
            "types is set, but PostgreSQL declares its own types",
            "remove it, and cast in the sql",
        ));
    }
    let sql = strip_semicolon(&feed.sql).to_owned();
    let mut locked = session.lock(permit).await?;
    let account = catalogue::account(&mut locked, permit).await?;
    server(&account, feed)?;
    let shape = Shape::parse(&sql);
    let prepared = match locked.prepare(permit, &sql, &[], Some(&sql)).await {
        Ok(prepared) => prepared,
        Err(error) if error.is_about_rows() => {
            return Err(hidden::explain(&mut locked, permit, &account, &shape, error).await);
        }
        Err(error) => return Err(error),
    };
    if prepared.columns().is_empty() || !prepared.params().is_empty() {
        return Err(refused(
            "the sql is not a SELECT without parameters",
            "write one SELECT",
        ));
    }
    let described = catalogue::describe(&mut locked, permit, prepared.columns()).await?;
    let given: Vec<&str> = prepared.columns().iter().map(WireColumn::name).collect();
    let places = cursor_indices(feed, &given)?;
    let relations = catalogue::relations(&mut locked, permit, &shape.relations).await?;
    privileges(session, &account, &relations)?;
    let resolved = dependencies::resolve(&mut locked, permit, &shape.relations).await?;
    dependencies::check_commit_visibility(feed, &resolved)?;

    let base = match relations.as_slice() {
        [only] if shape.plain && only.is_table => Some(only),
        _ => None,
    };
    let columns = prepared.columns();
    if columns
        .iter()
        .any(|one| matches!(*one.type_(), Type::MONEY | Type::MONEY_ARRAY))
    {
        currency(&mut locked, permit).await?;
    }
    // A set-returning function in the select list repeats rows, so the table's indexes prove nothing.
    let is_computed = columns.iter().any(|one| one.table_oid().is_none());
    let base = match base {
        Some(base)
            if is_computed && catalogue::calls_set_returning_function(&mut locked, permit, &sql).await? =>
        {
            info!(feed = %feed.name, table = %base.quoted(), "the sql calls a set-returning function, indexes of the table prove nothing");
            None
        }
        other => other,
    };
    let mut never_null = base.is_some();
    for place in &places {
        never_null &= described.get(*place).is_some_and(|(_, not_null)| *not_null);
    }
    let zone = match &feed.clock.zone {
        Some(zone) => zone.clone(),
        None => locked.connection()?.zone.clone(),
    };
    let mut keyset = Keyset {
        dialect: Dialect::Postgres,
        sql: sql.clone(),
        select: columns
            .iter()
            .map(|one| cell::asked(one.type_(), &column(one.name())))
            .collect(),
        cursor: cursor_columns(feed, columns, &places)?,
        only: None,
        own_parameters: 0,
        fence_zone: zoned(feed, columns, &places).then(|| zone.clone()),
    };
    if keyset.fence_zone.is_some() {
        warn!(feed = %feed.name, zone, "cursor column has no time zone: all writers must use this zone permanently");
    }
    let indexes = match base {
        Some(base) => catalogue::indexes(&mut locked, permit, base.oid).await?,
        None => Vec::new(),
    };
    let ordered: Vec<&WireColumn> = places.iter().filter_map(|place| columns.get(*place)).collect();
    index::unique(feed, &ordered, (base, &indexes))?;
    let missing_index = index::missing_for_cursor(&mut locked, permit, feed, &ordered).await?;
    let first = places.first().and_then(|place| columns.get(*place));
    let guard = Facts {
        tables: dependencies::tables(&resolved),
        sequence: match first.filter(|_| feed.cursor_set_by == CursorSetBy::Sequence) {
            Some(first) => sequence::find_for_cursor(&mut locked, permit, &relations, first).await?,
            None => None,
        },
        format: match first.filter(|_| is_timed(feed)) {
            Some(first) => Some(zone::time_encoding(&mut locked, permit, first.type_(), &zone).await?),
            None => None,
        },
    };
    collation::check_deterministic(&mut locked, permit, feed, columns).await?;
    key_type::check_key_types(&mut locked, permit, feed, columns).await?;
    // The feed must also work as a subquery, and the account must be able to read every column that it reads.
    let parameters = vec![Type::TEXT; keyset.cursor.len() + 1];
    locked
        .prepare(permit, &keyset.read(true, Bound::None), &parameters, None)
        .await?;
    let none = format!(
        "SELECT {} FROM {} LIMIT 0",
        keyset.select.join(", "),
        subquery(&sql)
    );
    match locked.query(permit, &none, &[]).await {
        Err(error) if error.is_about_rows() => {
            return Err(hidden::explain(&mut locked, permit, &account, &shape, error).await);
        }
        other => other?,
    };
    dependencies::check_plan_visibility(&mut locked, permit, feed, &sql).await?;
    if !never_null {
        no_nulls(&mut locked, permit, feed, &keyset).await?;
    }
    let schema = schema(feed, columns, &described, base.is_some());
    check_tombstone_column(feed, &schema.columns)?;
    let kind = first.map_or((Type::TEXT, -1), |one| (one.type_().clone(), one.type_modifier()));
    let placement = Placement::sample(
        &mut locked,
        permit,
        feed,
        (&kind.0, kind.1),
        guard.sequence.as_ref(),
    )
    .await?;
    keyset.only.clone_from(&placement.only);
    let is_unique = key::by_catalogue(feed, columns, base, &indexes);
    let key: Vec<usize> = schema.key_indices().unwrap_or_default();
    let cast = |place: &usize| columns.get(*place).map(|one| type_name(one.type_()));
    let checked = CheckedFeed {
        shape: checked_feed::shape(columns),
        wires: columns.iter().map(|one| Wire::for_type(one.type_()).0).collect(),
        guard,
        cursor: places,
        keyset,
        never_null,
        key_casts: key.iter().filter_map(cast).collect(),
        key,
        key_repeated: (!is_unique).then(|| refuse_duplicate_key(feed)),
        schema,
    };
    let mut proof = match (is_unique, proof) {
        (true, _) => Proof::by_catalogue(),
        (false, Some(known)) if !known.is_by_catalogue() => known,
        (false, _) => Proof::by_reading(),
    };
    if proof.is_reading() {
        key::page(&mut locked, permit, feed, &checked, &mut proof).await?;
    }
    let account_dependency = hidden::account_dependency(&mut locked, permit, &account, &sql, &shape).await?;
    Ok(OpenedFeed {
        checked,
        first: kind,
        placement,
        proof,
        account_dependency,
        missing_index,
    })
}

/// Refuses an account with its own monetary locale, which decides the number of decimals of money. The database's locale applies.
async fn currency(locked: &mut SessionGuard<'_>, permit: &Permit) -> Result<()> {
    let own = "SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'lc_monetary' AND source IN ('user', 'database user')";
    if locked.query(permit, own, &[]).await?.is_empty() {
        return Ok(());
    }
    Err(refused(
        "the account has an lc_monetary of its own, which may read amounts of money with another number of decimals",
        "run ALTER ROLE … RESET lc_monetary, or cast the column to numeric in a view of the core",
    ))
}

fn server(account: &Account, feed: &FeedDefinition) -> Result<()> {
    if account.standby {
        return Err(refused(
            "the source is a standby, which does not show the transactions of its primary",
            "point the source at the primary",
        ));
    }
    if !account.sees_all && feed.cursor_set_by != CursorSetBy::Application {
        return Err(refused(
            "the account cannot see the transactions of others, so late commits would be skipped",
            format!("run: GRANT pg_read_all_stats TO {};", quote(&account.name)),
        ));
    }
    Ok(())
}

pub(super) fn privileges(session: &Session, account: &Account, relations: &[Relation]) -> Result<()> {
    let missing: Vec<String> = relations
        .iter()
        .filter(|relation| !relation.readable)
        .map(|relation| {
            format!(
                "GRANT SELECT ON {} TO {};",
                relation.quoted(),
                quote(&account.name)
            )
        })
        .collect();
    if !missing.is_empty() {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("account {} may not read what the feed reads", account.name),
            format!("run: {}", missing.join(" ")),
        ));
    }
    if session.config.allow_writable_account {
        return Ok(());
    }
    if account.superuser {
        return Err(refused(
            format!(
                "account {} is a superuser; the agent's account must not be able to write",
                account.name
            ),
            "create a read-only account as `slacktide doctor` prints it, or set allow_writable_account = true",
        ));
    }
    if let Some(relation) = relations.iter().find(|relation| relation.writable) {
        return Err(refused(
            format!(
                "account {} may write to {}; the agent's account must not",
                account.name,
                relation.quoted()
            ),
            format!(
                "run: REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {} FROM {}; or set allow_writable_account = true",
                relation.quoted(),
                quote(&account.name)
            ),
        ));
    }
    Ok(())
}

fn cursor_columns(
    feed: &FeedDefinition,
    columns: &[WireColumn],
    places: &[usize],
) -> Result<Vec<CursorColumn>> {
    let mut cursor = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let Some(one) = columns.get(*place) else { continue };
        let kind = one.type_();
        let cast = check_orderable(one, "cursor")?;
        let time = matches!(*kind, Type::TIMESTAMPTZ | Type::TIMESTAMP | Type::DATE);
        let number = matches!(*kind, Type::INT2 | Type::INT4 | Type::INT8);
        let fits = match feed.cursor_set_by {
            CursorSetBy::Transaction | CursorSetBy::Statement => time,
            CursorSetBy::Sequence => number,
            CursorSetBy::Application => true,
        };
        if at == 0 && !fits {
            return Err(refused(
                format!(
                    "cursor column {} is of type {}, which does not fit cursor_set_by",
                    one.name(),
                    kind.name()
                ),
                "transaction and statement need a time, sequence an integer; otherwise set cursor_set_by = \"application\" with a lag",
            ));
        }
        cursor.push(CursorColumn {
            name: one.name().to_owned(),
            cast,
        });
    }
    Ok(cursor)
}

/// Returns the cast of a column that orders rows exactly, or an error for other types. `what` names the setting.
pub(super) fn check_orderable(one: &WireColumn, what: &str) -> Result<String> {
    let kind = one.type_();
    if matches!(
        *kind,
        Type::BOOL
            | Type::BYTEA
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::JSON
            | Type::JSONB
            | Type::XML
            | Type::MONEY
    ) {
        return Err(refused(
            format!("{what} column {} is of type {}", one.name(), kind.name()),
            "use columns that are integers, times, decimals, uuids or text",
        ));
    }
    Ok(type_name(kind))
}

fn type_name(kind: &Type) -> String {
    format!("{}.{}", quote(kind.schema()), quote(kind.name()))
}

/// Whether the fence is a time.
fn is_timed(feed: &FeedDefinition) -> bool {
    matches!(
        feed.cursor_set_by,
        CursorSetBy::Transaction | CursorSetBy::Statement
    )
}

/// Whether the cursor is a local time, whose fence must be converted from an instant.
fn zoned(feed: &FeedDefinition, columns: &[WireColumn], places: &[usize]) -> bool {
    let first = places.first().and_then(|place| columns.get(*place));
    is_timed(feed) && first.is_some_and(|one| matches!(*one.type_(), Type::TIMESTAMP | Type::DATE))
}

fn schema(
    feed: &FeedDefinition,
    columns: &[WireColumn],
    described: &[(String, bool)],
    plain: bool,
) -> RowSchema {
    let columns = columns
        .iter()
        .zip(described)
        .map(|(one, (native, not_null))| Column {
            name: one.name().to_owned(),
            kind: catalogue::column_type(one.type_(), one.type_modifier(), native),
            nullable: !(plain && *not_null),
        });
    RowSchema {
        name: feed.name.to_string(),
        version: feed.version,
        columns: columns.collect(),
        key: feed.key.clone(),
        tombstone: feed.tombstone.clone(),
    }
}

/// Refuses a feed with null cursors, which a keyset query never returns.
pub(super) async fn no_nulls(
    locked: &mut SessionGuard<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    keyset: &Keyset,
) -> Result<()> {
    let found = locked.query(permit, &keyset.any_null(), &[]).await;
    nulls::check_null_search(feed, found.map(|rows| !rows.is_empty()))
}
