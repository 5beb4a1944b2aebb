//! PURE: compares the definition that a lane's last chunk was read by with the configured one, and names the remedy.
//!
//! The last manifest holds columns, types, key, tombstone and version, which are compared exactly. SQL, cursor and money
//! columns are compared by the digest only.

use schemas::column::RowSchema;
use schemas::digest::Digest;
use schemas::name::Lane;
use source::FeedDefinition;

/// The parts of the configured definition that are known without the source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrentDefinition {
    /// The definition's version.
    pub version: u32,
    /// The columns that identify a row.
    pub key: Vec<String>,
    /// The column that marks deleted rows.
    pub tombstone: Option<String>,
}

impl CurrentDefinition {
    /// Takes them from a definition.
    #[must_use]
    pub fn of(feed: &FeedDefinition) -> Self {
        Self {
            version: feed.version,
            key: feed.key.clone(),
            tombstone: feed.tombstone.clone(),
        }
    }
}

/// Returns the differences, a few words each. `columns` are the source's, once known.
#[must_use]
pub fn differences(before: &RowSchema, now: &CurrentDefinition, columns: Option<&RowSchema>) -> Vec<String> {
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
                column_type(old),
                column_type(column)
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

/// Returns the type of a column, for example `decimal(10,2)`.
#[must_use]
pub fn column_type(column: &schemas::column::Column) -> String {
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

/// Describes a changed definition: the feed, both digests, the differences and the commands.
#[must_use]
pub fn describe_change(
    lane: &Lane,
    (before, old_digest): (&RowSchema, Option<Digest>),
    (now, new_digest): (&CurrentDefinition, Digest),
    columns: Option<&RowSchema>,
) -> String {
    let mut differences = differences(before, now, columns);
    if differences.is_empty() {
        differences.push(
            if columns.is_some() {
                "nothing in the last manifest; SQL, cursor, lag, money, masks or declared types"
            } else {
                "not known before the source is read"
            }
            .to_owned(),
        );
    }
    let old_digest = old_digest.map_or_else(|| "unknown".to_owned(), |digest| digest.to_string());
    let rewind = format!(
        "slacktide feed rewind {} --recipient {}",
        lane.feed, lane.recipient
    );
    let needs_all = before.key != now.key;
    let accept = if needs_all {
        format!("send everything again under the new key with `{rewind} --from beginning …`")
    } else {
        format!(
            "accept the new one with `{rewind} --accept --actor NAME --reason TEXT --config FILE`, which continues from the \
             lane's last chunk (`--from beginning` in place of `--accept` also sends the old rows again)"
        )
    };
    format!(
        "feed definition changed: {} of feed {}, definition {old_digest} of the lane's last chunk, {new_digest} of the configuration: {}; \
         restore the old definition, or {accept}",
        lane.recipient,
        lane.feed,
        differences.join(", ")
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
    fn differences_name_columns_key_and_version() {
        let before = schema(&[("id", ColumnType::Int4), ("a", ColumnType::Bool)], "id");
        let columns = schema(&[("id", ColumnType::Int8), ("b", ColumnType::Bool)], "b");
        let now = CurrentDefinition {
            version: 2,
            key: vec!["b".into()],
            tombstone: Some("b".into()),
        };
        assert_eq!(
            differences(&before, &now, Some(&columns)),
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
    fn change_description_names_feed_digests_and_command() {
        let lane = Lane {
            recipient: "insurer-a".parse().unwrap(),
            feed: "setl".parse().unwrap(),
        };
        let before = schema(&[("id", ColumnType::Int8)], "id");
        let (old_digest, new_digest) = (Digest::of(&[b"a"]), Digest::of(&[b"b"]));
        let mut now = CurrentDefinition {
            version: 1,
            key: vec!["id".into()],
            tombstone: None,
        };
        let text = describe_change(&lane, (&before, Some(old_digest)), (&now, new_digest), None);
        for part in [
            "setl",
            &old_digest.to_string(),
            &new_digest.to_string(),
            "slacktide feed rewind setl --recipient insurer-a --accept",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        now.key = vec!["no".into()];
        let text = describe_change(&lane, (&before, Some(old_digest)), (&now, new_digest), None);
        assert!(
            !text.contains("--accept") && text.contains("--from beginning"),
            "{text}"
        );
    }
}
