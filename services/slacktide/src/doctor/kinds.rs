//! Prepares each kind of request at the source, and compares it with its grants. Reads no row.

use disclosure::mask::Mask;
use gate::Gate;
use requests::kind::{Kind, KindConfig};
use schemas::name::{FeedName, RecipientName};
use social::responder::{check_columns, request_query};
use source::{CursorSetBy, FeedDefinition, Source};

use super::finding::Findings;
use crate::failure::Failure;

/// Reads the columns of each kind from the source, with a permit of the gate.
pub(super) async fn examine(kinds: &[KindConfig], source: &dyn Source, gate: &Gate, findings: &mut Findings) {
    for kind in kinds {
        let about = format!("kind {}", kind.name);
        // With NULL arguments: the result columns do not depend on them.
        let query = match Kind::new(kind.clone()) {
            Ok(checked) => request_query(&checked, checked.null_source_arguments()),
            Err(error) => {
                findings.fail(&about, &Failure::usage(error.what));
                continue;
            }
        };
        let permit = gate.permit().await;
        match source.open_request_query(&query, &permit).await {
            Err(error) => findings.fail(&about, &Failure::from(error)),
            Ok(reader) => {
                for missing in reader.missing_indexes() {
                    findings.warn(&about, missing.to_string());
                }
                match check_columns(kind, reader.schema()) {
                    Ok(what) => findings.ok(&about, what),
                    Err(mismatch) => findings.fail(&about, &Failure::usage(mismatch.to_string())),
                }
            }
        }
    }
}

/// Warns of kinds that return the token of a requested number. Reads the configuration only.
pub(super) fn tokens(kinds: &[KindConfig], findings: &mut Findings) {
    for kind in kinds {
        for (recipient, column) in exposed_tokens(kind) {
            findings.warn(
                &format!("kind {}", kind.name),
                format!(
                    "{recipient} requests by number and gets the token of that number in column {column}: it can learn the \
                     token of any number, and so identify the persons in its feeds; remove {column} from the \
                     grant's columns, because the requester knows the number"
                ),
            );
        }
    }
}

/// Returns recipients with the column that returns the token of a requested value.
fn exposed_tokens(kind: &KindConfig) -> Vec<(&RecipientName, &String)> {
    let by_person = kind.arguments.iter().any(|argument| argument.person);
    let is_requested = |column: &String| {
        (by_person && kind.person.contains(column))
            || kind.arguments.iter().any(|argument| argument.name == *column)
    };
    let grants = kind.grant.iter().flat_map(|grant| {
        let masked = grant.masks.iter().filter(|(_, mask)| **mask == Mask::Token);
        masked.map(move |(column, _)| (grant, column))
    });
    grants
        .filter(|(grant, column)| grant.columns.contains(column) && is_requested(column))
        .map(|(grant, column)| (&grant.recipient, column))
        .collect()
}

/// Converts a kind to a feed with the same SQL, to determine the privileges of the read-only account.
pub(super) fn as_feed(kind: &KindConfig) -> Option<FeedDefinition> {
    Some(FeedDefinition {
        name: FeedName::new("kind").ok()?,
        version: 1,
        sql: kind.sql.clone(),
        cursor: Vec::new(),
        cursor_set_by: CursorSetBy::Application,
        lag: std::time::Duration::ZERO,
        key: Vec::new(),
        money: Vec::new(),
        tombstone: None,
        types: kind.types.clone(),
        clock: source::feed::CursorClock::default(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use source::{SqliteConfig, SqliteSource};

    use super::*;

    const KIND: &str = r#"
name = "claim.by_person"
sql = "SELECT id, psn_no, amount FROM claim WHERE psn_no = $1"
arguments = [{ name = "psn_no", type = "text", person = true }]
order = ["id"]
person = ["psn_no"]
max_rows = 10
[[grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "amount"]
"#;

    #[test]
    fn kind_that_returns_the_requested_token_is_warned_of() {
        let warnings = |from: &str, to: &str| {
            let kind: KindConfig = toml::from_str(&KIND.replace(from, to)).unwrap();
            let mut findings = Findings::default();
            tokens(&[kind], &mut findings);
            findings.plain_text()
        };
        let columns = "columns = [\"id\", \"amount\"]";
        let granted = |masks: &str| {
            warnings(
                columns,
                &format!("columns = [\"id\", \"psn_no\"]\nmasks = {{ {masks} }}"),
            )
        };
        assert_eq!(warnings("", ""), "");
        assert_eq!(granted("psn_no = { keep = { last = 4 } }"), "");
        assert_eq!(granted("id = \"token\""), "");
        let warned = granted("psn_no = \"token\"");
        assert!(
            warned.starts_with("warn  kind claim.by_person")
                && warned.contains("insurer-a")
                && warned.contains("psn_no"),
            "{warned}"
        );
        // Also without `person`: an argument with the column's name is compared with it.
        let unmarked = KIND
            .replace(", person = true", "")
            .replace(columns, "columns = [\"psn_no\"]\nmasks = { psn_no = \"token\" }");
        let mut findings = Findings::default();
        tokens(&[toml::from_str(&unmarked).unwrap()], &mut findings);
        assert!(
            findings.plain_text().contains("psn_no"),
            "{}",
            findings.plain_text()
        );
    }

    #[tokio::test]
    async fn kind_is_prepared_at_the_source_and_faults_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.db");
        let core = rusqlite::Connection::open(&path).unwrap();
        core.execute_batch("CREATE TABLE claim (id INTEGER PRIMARY KEY, psn_no TEXT, amount DECIMAL(16,2))")
            .unwrap();
        let gate = Gate::fixed_open();
        let source = SqliteSource::new(SqliteConfig::new(&path), gate.closed_flag()).unwrap();
        let source: Arc<dyn Source> = Arc::new(source);
        for (from, to, expected) in [
            ("", "", "ok    kind claim.by_person 3 columns; insurer-a gets 2"),
            ("FROM claim", "FROM clame", "FAIL  kind claim.by_person"),
            (
                "\"amount\"]",
                "\"sum\"]",
                "grant to insurer-a: there is no column \"sum\"",
            ),
            (
                "id, psn_no, amount",
                "id, amount",
                "person names the column \"psn_no\"",
            ),
            (
                "order = [\"id\"]",
                "order = [\"nr\"]",
                "FAIL  kind claim.by_person",
            ),
        ] {
            let kind: KindConfig = toml::from_str(&KIND.replace(from, to)).unwrap();
            let mut findings = Findings::default();
            examine(&[kind], source.as_ref(), &gate, &mut findings).await;
            let found = findings.plain_text();
            assert!(found.contains(expected), "{to}: {found}");
        }
        source.close().await;
    }
}
