//! PURE: what differs between the definition that a lane's last chunk was read by and the feed as it is
//! configured now, and what an operator can do about it.
//!
//! The last manifest tells columns, types, key, tombstone and version, so that far it can be said exactly.
//! SQL, cursor and money columns show in the digest only.

use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::Lane;
use source::FeedDefinition;

/// What the configuration tells of the feed without asking the source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Now {
    /// The definition's version.
    pub version: u32,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The column that marks deleted rows.
    pub tombstone: Option<String>,
}

impl Now {
    /// Of a definition.
    #[must_use]
    pub fn of(feed: &FeedDefinition) -> Self {
        Self {
            version: feed.version,
            key: feed.key.clone(),
            tombstone: feed.tombstone.clone(),
        }
    }
}

/// What differs, each in a few words; `columns` once the source told them.
#[must_use]
pub fn differs(before: &RowSchema, now: &Now, columns: Option<&RowSchema>) -> Vec<String> {
    let mut found = Vec::new();
    if before.version != now.version {
        found.push(format!("version {} is now {}", before.version, now.version));
    }
    if before.key != now.key {
        found.push(format!(
            "key [{}] is now [{}]",
            before.key.join(", "),
            now.key.join(", ")
        ));
    }
    if before.tombstone != now.tombstone {
        let name = |tombstone: &Option<String>| tombstone.clone().unwrap_or_else(|| "none".to_owned());
        found.push(format!(
            "tombstone {} is now {}",
            name(&before.tombstone),
            name(&now.tombstone)
        ));
    }
    let Some(columns) = columns else { return found };
    for column in &columns.columns {
        match before.columns.iter().find(|old| old.name == column.name) {
            None => found.push(format!("column {} added", column.name)),
            Some(old) if old.kind != column.kind => found.push(format!(
                "column {} was {} and is {}",
                column.name,
                kind(old),
                kind(column)
            )),
            Some(_) => {}
        }
    }
    for old in &before.columns {
        if columns.index_of(&old.name).is_none() {
            found.push(format!("column {} dropped", old.name));
        }
    }
    found
}

/// A column's type in a word.
#[must_use]
pub fn kind(column: &schemas::column::Column) -> String {
    let value = serde_json::to_value(&column.kind).unwrap_or_default();
    let text = |key: &str| {
        value
            .get(key)
            .map(|part| part.to_string().trim_matches('"').to_owned())
    };
    let name = text("type")
        .or_else(|| text("kind"))
        .unwrap_or_else(|| value.to_string());
    let parts: Vec<String> = ["precision", "scale", "max", "native"]
        .iter()
        .filter_map(|key| text(key).filter(|part| part != "null"))
        .collect();
    if parts.is_empty() {
        name
    } else {
        format!("{name}({})", parts.join(","))
    }
}

/// The whole sentence: feed, both digests, what differs, and the commands.
#[must_use]
pub fn told(
    lane: &Lane,
    (before, was): (&RowSchema, Option<Digest>),
    (now, is): (&Now, Digest),
    columns: Option<&RowSchema>,
) -> String {
    let mut differs = differs(before, now, columns);
    if differs.is_empty() {
        differs.push(
            if columns.is_some() {
                "nothing that the last chunk tells: SQL, cursor, lag, money, masks or declared types"
            } else {
                "nothing that can be told before the source was asked"
            }
            .to_owned(),
        );
    }
    let was = was.map_or_else(|| "unknown".to_owned(), |was| was.to_string());
    let rewind = format!(
        "slacktide feed rewind {} --recipient {}",
        lane.feed, lane.recipient
    );
    let needs_all = before.key != now.key;
    let accept = if needs_all {
        format!("send everything again under the new key with `{rewind} --from beginning …`")
    } else {
        format!(
            "accept the new one with `{rewind} --accept --actor NAME --reason TEXT --config FILE`, which goes on where the \
             lane stands (`--from beginning` in place of `--accept` sends the old rows again as well)"
        )
    };
    format!(
        "feed definition changed: {} of feed {}, definition {was} of the lane's last chunk, {is} of the configuration: {}; \
         put the old one back, or {accept}",
        lane.recipient,
        lane.feed,
        differs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use schemas::column::{Column, ColumnType};

    use super::*;

    fn schema(columns: &[(&str, ColumnType)], key: &str) -> RowSchema {
        RowSchema {
            name: "f".into(),
            version: 1,
            columns: columns
                .iter()
                .map(|(name, kind)| Column {
                    name: (*name).into(),
                    kind: kind.clone(),
                    nullable: true,
                })
                .collect(),
            key: vec![key.into()],
            tombstone: None,
        }
    }

    #[test]
    fn columns_key_and_version_are_told_apart() {
        let before = schema(&[("id", ColumnType::Int4), ("a", ColumnType::Bool)], "id");
        let columns = schema(&[("id", ColumnType::Int8), ("b", ColumnType::Bool)], "b");
        let now = Now {
            version: 2,
            key: vec!["b".into()],
            tombstone: Some("b".into()),
        };
        assert_eq!(
            differs(&before, &now, Some(&columns)),
            [
                "version 1 is now 2",
                "key [id] is now [b]",
                "tombstone none is now b",
                "column id was int4 and is int8",
                "column b added",
                "column a dropped"
            ]
        );
    }

    #[test]
    fn the_sentence_names_feed_both_digests_and_the_command() {
        let lane = Lane {
            recipient: "insurer-a".parse().unwrap(),
            feed: "setl".parse().unwrap(),
        };
        let before = schema(&[("id", ColumnType::Int8)], "id");
        let (was, is) = (Digest::of(&[b"a"]), Digest::of(&[b"b"]));
        let mut now = Now {
            version: 1,
            key: vec!["id".into()],
            tombstone: None,
        };
        let text = told(&lane, (&before, Some(was)), (&now, is), None);
        for part in [
            "setl",
            &was.to_string(),
            &is.to_string(),
            "slacktide feed rewind setl --recipient insurer-a --accept",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        now.key = vec!["no".into()];
        let text = told(&lane, (&before, Some(was)), (&now, is), None);
        assert!(
            !text.contains("--accept") && text.contains("--from beginning"),
            "{text}"
        );
    }
}
