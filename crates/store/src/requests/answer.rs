//! PURE: whether a reply is complete, and the tables of its rows.

use jiff::Timestamp;
use schemas::chunk::VerifiedChunk;
use schemas::column::{Column, ColumnType, RowSchema};
use schemas::digest::Digest;
use schemas::load::Load;
use schemas::manifest::{Content, Manifest, Totals};
use schemas::name::{BadName, FeedName, RecipientName};
use schemas::part::VerifiedPart;
use schemas::reply::Outcome;
use schemas::request::Request;
use schemas::rows::{RowError, pack};
use schemas::value::Value;

use super::ReceivedReply;
use crate::arrival::Arrival;
use crate::chunk_number::ChunkNumber;
use crate::layout::{Database, LaneTables, Options, with_suffix};
use crate::refusal::Refusal;
use crate::table::schema_change::PendingChange;
use crate::table::shape::{Change, Fit, Shape, fit};

pub use crate::table::{REQUEST, ROW_NUMBER};

/// Returns the digest of a request's content, independent of signer and time: equal digests under one key mean the
/// same request.
#[must_use]
pub fn content_digest_of(request: &Request) -> Digest {
    let parts = (
        &request.kind,
        &request.arguments,
        &request.purpose,
        &request.basis,
        request.deadline,
    );
    // Texts and integers can always be written.
    Digest::of(&[serde_json::to_string(&parts).unwrap_or_default().as_bytes()])
}

/// Why the parts of a reply are not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// Parts are missing, or others came.
    #[error("the reply names {named} parts, and {came} others came or in another order")]
    Others {
        /// The parts that the reply names.
        named: usize,
        /// The parts that came.
        came: usize,
    },
    /// A part does not belong to the reply.
    #[error("part {number} belongs to another request or attempt, or has another number")]
    OfAnother {
        /// Its place, counted from 1.
        number: u32,
    },
    /// Not all parts have the same columns.
    #[error("the parts have different columns")]
    Columns,
    /// The reply declares another number of rows.
    #[error("the reply declares {declared} rows, and its parts contain {rows}")]
    Rows {
        /// The declared number.
        declared: u64,
        /// The rows of the parts.
        rows: u64,
    },
}

/// Checks that the parts are complete and belong to the reply's request and attempt, with the declared number of
/// rows.
///
/// # Errors
/// The mismatch.
pub fn whole(received: &ReceivedReply) -> Result<(), PartsError> {
    let (reply, parts) = (&received.reply, &received.parts);
    let named = reply.outcome.parts();
    if named.len() != parts.len()
        || named
            .iter()
            .zip(parts)
            .any(|(digest, part)| *digest != part.digest)
    {
        return Err(PartsError::Others {
            named: named.len(),
            came: parts.len(),
        });
    }
    for (number, VerifiedPart { manifest: part, .. }) in (1_u32..).zip(parts) {
        let of_this = part.id == reply.id
            && part.recipient == reply.recipient
            && part.request == reply.request
            && Some(part.attempt) == reply.attempt
            && part.number == number;
        if !of_this {
            return Err(PartsError::OfAnother { number });
        }
    }
    let mut schemas = parts.iter().map(|part| &part.manifest.content.schema);
    if let Some(first) = schemas.next()
        && schemas.any(|schema| schema.columns != first.columns)
    {
        return Err(PartsError::Columns);
    }
    let rows: u64 = parts.iter().map(|part| part.manifest.content.totals.rows).sum();
    if rows != reply.outcome.rows() {
        return Err(PartsError::Rows {
            declared: reply.outcome.rows(),
            rows,
        });
    }
    Ok(())
}

/// Returns the code and the reason of an outcome.
#[must_use]
pub fn code_and_reason(outcome: &Outcome) -> (Option<String>, Option<String>) {
    match outcome {
        Outcome::Refused { code, reason, .. } => (Some(code.as_str().to_owned()), Some(reason.clone())),
        Outcome::Partial { reason, .. } | Outcome::Failed { reason } => (None, Some(reason.clone())),
        Outcome::Answered { .. } | Outcome::Empty | Outcome::Expired | Outcome::Cancelled => (None, None),
    }
}

/// Returns the table of a kind. An operator can name another one in the feed options of [`table_name`].
///
/// # Errors
/// Why the kind cannot have a table.
pub fn target(
    options: &Options,
    database: Database,
    recipient: &RecipientName,
    kind: &str,
) -> Result<LaneTables, BadName> {
    let feed = FeedName::new(table_name(kind))?;
    Ok(options.answers(database, recipient, kind, feed))
}

/// Returns `answer_setl__by_person` for `setl.by_person`. A kind whose name has to be changed gets a part of its digest
/// as suffix, so that no two kinds share a table.
#[must_use]
pub fn table_name(kind: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let name: String = kind
        .split('.')
        .map(|word| {
            word.chars()
                .map(|c| if plain(c) { c } else { '_' })
                .collect::<String>()
        })
        .collect::<Vec<_>>()
        .join("__");
    let name = format!("answer_{name}");
    let edge = |word: &str| word.is_empty() || word.starts_with('_') || word.ends_with('_');
    let clear = kind.chars().all(|c| plain(c) || c == '.')
        && !kind.contains("__")
        && !kind.split('.').any(edge)
        && name.len() <= 55;
    if clear {
        return name;
    }
    let digest = Digest::of(&[kind.as_bytes()]).to_string();
    with_suffix(&name, &format!("_{}", digest.get(..12).unwrap_or_default()))
}

/// Returns a part's columns with the request and the row number in front, which identify the row.
#[must_use]
pub fn columns(given: &RowSchema) -> RowSchema {
    let own = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
        nullable: false,
    };
    let mut columns = vec![
        own(REQUEST, ColumnType::Text { max: None }),
        own(ROW_NUMBER, ColumnType::Int8),
    ];
    columns.extend(given.columns.iter().cloned());
    RowSchema {
        columns,
        key: vec![REQUEST.to_owned(), ROW_NUMBER.to_owned()],
        tombstone: None,
        ..given.clone()
    }
}

/// Returns how the table must change before rows with these columns are stored. Every change is followed.
///
/// # Errors
/// Why they are not stored until an operator acts.
pub fn change(
    shape: Option<&Shape>,
    schema: &RowSchema,
    chunk_number: ChunkNumber,
    tables: &LaneTables,
) -> Result<Option<Change>, Refusal> {
    let own = |name: &str| name == REQUEST || name == ROW_NUMBER;
    if schema.columns.iter().skip(2).any(|column| own(&column.name)) {
        let what = format!(
            "{}: a column is called {REQUEST} or {ROW_NUMBER}, which are Slacktide's own",
            tables.owner
        );
        return Err(Refusal {
            shared: what.clone(),
            what,
            remedy: "ask the bureau to give it another name in the kind".to_owned(),
        });
    }
    let mut shape = shape.cloned();
    let fitted = fit(shape.as_ref(), schema, chunk_number, tables, chunk_number);
    let fitted = match (fitted, &mut shape) {
        (Fit::Asks(changes), Some(known)) => {
            known.accept(&PendingChange {
                chunk_number,
                changes,
                since: Timestamp::UNIX_EPOCH,
            });
            fit(Some(&*known), schema, chunk_number, tables, chunk_number)
        }
        (fitted, _) => fitted,
    };
    match fitted {
        Fit::Fits => Ok(None),
        Fit::Change(change) => Ok(Some(*change)),
        Fit::Never(why) => Err(*why),
        Fit::Asks(_) | Fit::Waits => {
            let what = format!("{}: its columns do not fit the table", tables.owner);
            Err(Refusal {
                shared: what.clone(),
                what,
                remedy: format!(
                    "name another table: table = \"…\" under [store.feed.{}]",
                    tables.key
                ),
            })
        }
    }
}

/// Returns a part as a chunk of the table. Its first row has the number after `before`.
///
/// # Errors
/// [`RowError`] if a row is too large or cannot be read; a row of an opened part can be.
pub fn arrival(
    part: &VerifiedPart,
    schema: &RowSchema,
    (number, before): (u64, u64),
    target: &LaneTables,
    exchanged_at: Timestamp,
) -> Result<Arrival, RowError> {
    let id = part.manifest.id.to_string();
    let (mut plain, mut row, mut wide) = (Vec::with_capacity(part.plain.len()), Vec::new(), Vec::new());
    let (mut rows, mut row_number) = (part.rows(), before);
    while rows.next_into(&mut row)? {
        row_number += 1;
        wide.clear();
        wide.push(Value::Text(&id));
        wide.push(Value::Int(i64::try_from(row_number).unwrap_or(i64::MAX)));
        wide.extend_from_slice(&row);
        pack(&wide, &mut plain)?;
    }
    let part_of = &part.manifest;
    let manifest = Manifest {
        recipient: target.lane.recipient.clone(),
        feed: target.lane.feed.clone(),
        origin: None,
        epoch: 1,
        number,
        previous: None,
        resync: None,
        repair: None,
        opening: None,
        heads: schemas::heads::Heads::default(),
        cursor_before: None,
        cursor_after: None,
        source: None,
        content: Content {
            schema: schema.clone(),
            totals: Totals {
                rows: part_of.content.totals.rows,
                ..Totals::default()
            },
            load: Load::default(),
            rejects: Vec::new(),
            ..part_of.content.clone()
        },
    };
    Ok(Arrival {
        chunk: VerifiedChunk {
            manifest,
            digest: part.digest,
            plain,
        },
        sequence: 0,
        exchanged_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::shape::Step;
    use store_testing::samples::schema;

    #[test]
    fn answer_each_kind_has_own_table() {
        assert_eq!(table_name("setl.by_person"), "answer_setl__by_person");
        let kinds = [
            "a.b",
            "a_b",
            "a__b",
            "a_.b",
            "a._b",
            "a-b",
            "A.b",
            "a b",
            "",
            ".",
            "\u{8868}",
            &"a".repeat(80),
            &"a".repeat(81),
        ];
        let mut names: Vec<String> = kinds.iter().map(|kind| table_name(kind)).collect();
        assert!(
            names.iter().all(|name| FeedName::new(name.as_str()).is_ok()),
            "{names:?}"
        );
        assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), kinds.len(), "two kinds share a table: {names:?}");
    }

    fn at(number: u64) -> ChunkNumber {
        ChunkNumber { epoch: 1, number }
    }

    #[test]
    fn answer_every_change_of_kind_is_followed() {
        let recipient = RecipientName::new("insurer-a").unwrap();
        let target = target(
            &Options::default(),
            Database::Postgres,
            &recipient,
            "setl.by_person",
        )
        .unwrap();
        let first = columns(&schema(
            &[],
            &[("paid", ColumnType::Int8), ("old", ColumnType::Date)],
        ));
        let made = change(None, &first, at(1), &target).unwrap().unwrap();
        assert_eq!(made.steps, [Step::Make]);
        assert_eq!(change(Some(&made.shape), &first, at(2), &target), Ok(None));
        let second = columns(&schema(&[], &[("paid", ColumnType::Text { max: None })]));
        let next = change(Some(&made.shape), &second, at(3), &target)
            .unwrap()
            .unwrap();
        let mapping = next.shape.mapping(&second, at(4), &target.layout);
        assert_eq!(mapping.names, [REQUEST, ROW_NUMBER, "paid"]);
        assert_eq!(mapping.missing, ["old", "paid_before_1_3"]);
        assert_eq!(change(Some(&next.shape), &second, at(4), &target), Ok(None));
    }

    #[test]
    fn answer_reserved_column_is_refused() {
        let recipient = RecipientName::new("insurer-a").unwrap();
        let target = target(&Options::default(), Database::Postgres, &recipient, "k.k").unwrap();
        for name in [REQUEST, ROW_NUMBER, crate::table::EPOCH] {
            let columns = columns(&schema(&[], &[(name, ColumnType::Int8)]));
            assert!(change(None, &columns, at(1), &target).is_err(), "{name}");
        }
    }
}
