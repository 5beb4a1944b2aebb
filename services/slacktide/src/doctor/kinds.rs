//! Each kind of request: made ready at the source, and compared with what its grants give away. No row is read.

use gate::Gate;
use requests::kind::{Kind, KindConfig};
use requests::mask::Mask;
use schemas::name::{FeedName, RecipientName};
use social::responder::{fits, question};
use source::{CursorSetBy, FeedDefinition, Source};

use super::finding::Findings;
use crate::failure::Failure;

/// Asks the source for the columns of each kind, under a permit of this gate.
pub(super) async fn examine(kinds: &[KindConfig], source: &dyn Source, gate: &Gate, findings: &mut Findings) {
    for kind in kinds {
        let about = format!("kind {}", kind.name);
        // With nothing for its arguments: what it brings, and what they are compared with, does not depend on them.
        let asked = match Kind::new(kind.clone()) {
            Ok(checked) => question(&checked, checked.sent_empty()),
            Err(error) => {
                findings.fail(&about, &Failure::usage(error.what));
                continue;
            }
        };
        let permit = gate.permit().await;
        match source.open_question(&asked, &permit).await {
            Err(error) => findings.fail(&about, &Failure::from(error)),
            Ok(reader) => {
                for missing in reader.missing_indexes() {
                    findings.warn(&about, missing.to_string());
                }
                match fits(kind, reader.schema()) {
                    Ok(what) => findings.ok(&about, what),
                    Err(what) => findings.fail(&about, &Failure::usage(what)),
                }
            }
        }
    }
}

/// Warns of kinds that tell the token of a number that was asked about. Reads the configuration only.
pub(super) fn tokens(kinds: &[KindConfig], findings: &mut Findings) {
    for kind in kinds {
        for (recipient, column) in told_tokens(kind) {
            findings.warn(
                &format!("kind {}", kind.name),
                format!(
                    "{recipient} asks by a number and gets the token of that number in column {column}: it can learn the \
                     token of any number, and so whose rows the tokens of its feeds are; take {column} out of the \
                     grant's columns, since whoever asks knows the number"
                ),
            );
        }
    }
}

/// PURE: recipients with the column in which each gets the token of what it asked by.
fn told_tokens(kind: &KindConfig) -> Vec<(&RecipientName, &String)> {
    let by_person = kind.arguments.iter().any(|argument| argument.person);
    let is_asked = |column: &String| {
        (by_person && kind.person.contains(column))
            || kind.arguments.iter().any(|argument| argument.name == *column)
    };
    let grants = kind.grant.iter().flat_map(|grant| {
        let masked = grant.masks.iter().filter(|(_, mask)| **mask == Mask::Token);
        masked.map(move |(column, _)| (grant, column))
    });
    grants
        .filter(|(grant, column)| grant.columns.contains(column) && is_asked(column))
        .map(|(grant, column)| (&grant.recipient, column))
        .collect()
}

/// What the read-only account needs is the same as for a feed of that SQL which waits for no transaction.
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
most_rows = 10
[[grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["id", "amount"]
"#;

    #[test]
    fn kind_by_number_that_returns_its_token_is_warned_of() {
        let told = |from: &str, to: &str| {
            let kind: KindConfig = toml::from_str(&KIND.replace(from, to)).unwrap();
            let mut findings = Findings::default();
            tokens(&[kind], &mut findings);
            findings.told()
        };
        let columns = "columns = [\"id\", \"amount\"]";
        let granted = |masks: &str| {
            told(
                columns,
                &format!("columns = [\"id\", \"psn_no\"]\nmasks = {{ {masks} }}"),
            )
        };
        assert_eq!(told("", ""), "");
        assert_eq!(granted("psn_no = { keep = { last = 4 } }"), "");
        assert_eq!(granted("id = \"token\""), "");
        let warned = granted("psn_no = \"token\"");
        assert!(
            warned.starts_with("warn  kind claim.by_person")
                && warned.contains("insurer-a")
                && warned.contains("psn_no"),
            "{warned}"
        );
        // Whatever the argument is for: what has the column's name is compared with it.
        let unmarked = KIND
            .replace(", person = true", "")
            .replace(columns, "columns = [\"psn_no\"]\nmasks = { psn_no = \"token\" }");
        let mut findings = Findings::default();
        tokens(&[toml::from_str(&unmarked).unwrap()], &mut findings);
        assert!(findings.told().contains("psn_no"), "{}", findings.told());
    }

    #[tokio::test]
    async fn a_kind_is_tried_at_the_source_and_each_fault_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.db");
        let core = rusqlite::Connection::open(&path).unwrap();
        core.execute_batch("CREATE TABLE claim (id INTEGER PRIMARY KEY, psn_no TEXT, amount DECIMAL(16,2))")
            .unwrap();
        let gate = Gate::fixed_open();
        let source = SqliteSource::new(SqliteConfig::new(&path), gate.shut_flag()).unwrap();
        let source: Arc<dyn Source> = Arc::new(source);
        for (from, to, told) in [
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
            let found = findings.told();
            assert!(found.contains(told), "{to}: {found}");
        }
        source.close().await;
    }
}
