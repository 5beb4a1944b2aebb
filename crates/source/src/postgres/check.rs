//! Whether a feed can be served, before anything is read: each refusal says what to do.

use gate::permit::Permit;
use tokio_postgres::Column as WireColumn;
use tokio_postgres::types::Type;
use tracing::{info, warn};

use schemas::column::{Column, RowSchema};

use super::catalogue::{self, Account, Relation};
use super::cell::{self, Wire};
use super::collation;
use super::guard::Facts;
use super::hidden;
use super::key::{self, Proof};
use super::order::Placement;
use super::session::{Session, Turn};
use super::{index, key_type, reach, sequence, zone};
use crate::columns::{cursor_places, tombstone_fits};
use crate::error::{Error, ErrorKind, Result, refused};
use crate::feed::{CursorSetBy, FeedDefinition};
use crate::key_proof::not_unique;
use crate::keyset::{Bound, CursorColumn, Dialect, Keyset, bare, column, quote, subquery};
use crate::missing_index::MissingIndex;
use crate::nulls;
use crate::shape::Shape;

/// A feed that can be served.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) schema: RowSchema,
    /// What the database called the columns when it was asked.
    pub(super) shape: Vec<Described>,
    pub(super) wires: Vec<Wire>,
    /// Places of the cursor columns in a row.
    pub(super) cursor: Vec<usize>,
    pub(super) keyset: Keyset,
    /// What is looked at beside the fence.
    pub(super) guard: Facts,
    /// The catalogue proves that no cursor is null.
    pub(super) never_null: bool,
    /// The types of the key's columns, for casts.
    pub(super) key_casts: Vec<String>,
    /// Places of the key's columns in a row.
    pub(super) key: Vec<usize>,
    /// The refusal of a key that occurs twice in one read; none: the catalogue proves that none does.
    pub(super) key_repeated: Option<Error>,
}

/// A feed that was opened, with what is known of its rows.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) checked: Checked,
    /// The first cursor column: its type and the type's modifier.
    pub(super) first: (Type, i32),
    pub(super) placement: Placement,
    pub(super) proof: Proof,
    /// Why rows may be missing by who reads.
    pub(super) by_account: Option<(String, String)>,
    /// The index that would serve the cursor.
    pub(super) missing_index: Option<MissingIndex>,
}

/// A column as the database describes it: name, type, and the type's length or precision.
pub(super) type Described = (String, u32, i32);

/// As the database describes them.
pub(super) fn shape(columns: &[WireColumn]) -> Vec<Described> {
    let one = |column: &WireColumn| {
        (
            column.name().to_owned(),
            column.type_().oid(),
            column.type_modifier(),
        )
    };
    columns.iter().map(one).collect()
}

pub(super) async fn feed(
    session: &Session,
    feed: &FeedDefinition,
    permit: &Permit,
    proof: Option<Proof>,
) -> Result<Opened> {
    if !feed.types.is_empty() {
        return Err(refused(
            "types is set, but PostgreSQL declares its own types",
            "remove it, and cast in the sql",
        ));
    }
    let sql = bare(&feed.sql).to_owned();
    let mut turn = session.turn(permit).await?;
    let account = catalogue::account(&mut turn, permit).await?;
    server(&account, feed)?;
    let shape = Shape::of(&sql);
    let prepared = match turn.prepare(permit, &sql, &[], Some(&sql)).await {
        Ok(prepared) => prepared,
        Err(error) if error.is_about_rows() => {
            return Err(hidden::explain(&mut turn, permit, &account, &shape, error).await);
        }
        Err(error) => return Err(error),
    };
    if prepared.columns().is_empty() || !prepared.params().is_empty() {
        return Err(refused(
            "the sql is no SELECT without parameters",
            "write one SELECT",
        ));
    }
    let described = catalogue::describe(&mut turn, permit, prepared.columns()).await?;
    let given: Vec<&str> = prepared.columns().iter().map(WireColumn::name).collect();
    let places = cursor_places(feed, &given)?;
    let relations = catalogue::relations(&mut turn, permit, &shape.relations).await?;
    privileges(session, &account, &relations)?;
    let reached = reach::reached(&mut turn, permit, &shape.relations).await?;
    reach::commits_seen(feed, &reached)?;

    let base = match relations.as_slice() {
        [only] if shape.plain && only.is_table => Some(only),
        _ => None,
    };
    let columns = prepared.columns();
    if columns
        .iter()
        .any(|one| matches!(*one.type_(), Type::MONEY | Type::MONEY_ARRAY))
    {
        currency(&mut turn, permit).await?;
    }
    // A function of several rows in the select list repeats the table's row, and what its indexes prove is gone.
    let is_computed = columns.iter().any(|one| one.table_oid().is_none());
    let base = match base {
        Some(base) if is_computed && catalogue::repeats_rows(&mut turn, permit, &sql).await? => {
            info!(feed = %feed.name, table = %base.quoted(), "the sql may give several rows for one of the table");
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
        None => turn.live()?.zone.clone(),
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
        own: 0,
        fence_zone: zoned(feed, columns, &places).then(|| zone.clone()),
    };
    if keyset.fence_zone.is_some() {
        warn!(feed = %feed.name, zone, "the cursor has no time zone: writers must use this zone, and never change it");
    }
    let indexes = match base {
        Some(base) => catalogue::indexes(&mut turn, permit, base.oid).await?,
        None => Vec::new(),
    };
    let ordered: Vec<&WireColumn> = places.iter().filter_map(|place| columns.get(*place)).collect();
    index::unique(feed, &ordered, (base, &indexes))?;
    let missing_index = index::of_cursor(&mut turn, permit, feed, &ordered).await?;
    let first = places.first().and_then(|place| columns.get(*place));
    let guard = Facts {
        tables: reach::tables(&reached),
        sequence: match first.filter(|_| feed.cursor_set_by == CursorSetBy::Sequence) {
            Some(first) => sequence::of_cursor(&mut turn, permit, &relations, first).await?,
            None => None,
        },
        form: match first.filter(|_| is_timed(feed)) {
            Some(first) => Some(zone::time_form(&mut turn, permit, first.type_(), &zone).await?),
            None => None,
        },
    };
    collation::deterministic(&mut turn, permit, feed, columns).await?;
    key_type::comparable(&mut turn, permit, feed, columns).await?;
    // The feed must also do as a subquery, and the account may read every column that it reads.
    let parameters = vec![Type::TEXT; keyset.cursor.len() + 1];
    turn.prepare(permit, &keyset.read(true, Bound::None), &parameters, None)
        .await?;
    let none = format!(
        "SELECT {} FROM {} LIMIT 0",
        keyset.select.join(", "),
        subquery(&sql)
    );
    match turn.query(permit, &none, &[]).await {
        Err(error) if error.is_about_rows() => {
            return Err(hidden::explain(&mut turn, permit, &account, &shape, error).await);
        }
        other => other?,
    };
    reach::commits_planned(&mut turn, permit, feed, &sql).await?;
    if !never_null {
        no_nulls(&mut turn, permit, feed, &keyset).await?;
    }
    let schema = schema(feed, columns, &described, base.is_some());
    tombstone_fits(feed, &schema.columns)?;
    let kind = first.map_or((Type::TEXT, -1), |one| (one.type_().clone(), one.type_modifier()));
    let placement = Placement::of(
        &mut turn,
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
    let checked = Checked {
        shape: self::shape(columns),
        wires: columns.iter().map(|one| Wire::of(one.type_()).0).collect(),
        guard,
        cursor: places,
        keyset,
        never_null,
        key_casts: key.iter().filter_map(cast).collect(),
        key,
        key_repeated: (!is_unique).then(|| not_unique(feed)),
        schema,
    };
    let mut proof = match (is_unique, proof) {
        (true, _) => Proof::by_catalogue(),
        (false, Some(known)) if !known.is_by_catalogue() => known,
        (false, _) => Proof::by_reading(),
    };
    if proof.is_reading() {
        key::page(&mut turn, permit, feed, &checked, &mut proof).await?;
    }
    let by_account = hidden::by_account(&mut turn, permit, &account, &sql, &shape).await?;
    Ok(Opened {
        checked,
        first: kind,
        placement,
        proof,
        by_account,
        missing_index,
    })
}

/// The locale of money says how many decimals its amounts have, and those of the database are what its rows mean.
async fn currency(turn: &mut Turn<'_>, permit: &Permit) -> Result<()> {
    let own = "SELECT 1 FROM pg_catalog.pg_settings WHERE name = 'lc_monetary' AND source IN ('user', 'database user')";
    if turn.query(permit, own, &[]).await?.is_empty() {
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
                "account {} is a superuser; nothing of ours may be able to write",
                account.name
            ),
            "make an account of its own as `slacktide doctor` prints it, or set allow_writable_account = true",
        ));
    }
    if let Some(relation) = relations.iter().find(|relation| relation.writable) {
        return Err(refused(
            format!(
                "account {} may write to {}; nothing of ours may",
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
        let cast = orders(one, "cursor")?;
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
                    "cursor column {} is of type {}, which cursor_set_by does not fit",
                    one.name(),
                    kind.name()
                ),
                "transaction and statement need a time, sequence an integer; else declare application with a lag",
            ));
        }
        cursor.push(CursorColumn {
            name: one.name().to_owned(),
            cast,
        });
    }
    Ok(cursor)
}

/// Whether rows can be ordered by a column, exactly and for good; the cast of its values. `what` names the
/// columns among which it is.
pub(super) fn orders(one: &WireColumn, what: &str) -> Result<String> {
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

/// A fence is an instant; these columns hold it as somebody's local time.
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

/// Rows without a cursor would never be found.
pub(super) async fn no_nulls(
    turn: &mut Turn<'_>,
    permit: &Permit,
    feed: &FeedDefinition,
    keyset: &Keyset,
) -> Result<()> {
    let found = turn.query(permit, &keyset.any_null(), &[]).await;
    nulls::judged(feed, found.map(|rows| !rows.is_empty()))
}
