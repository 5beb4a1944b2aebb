//! What recipients must not see: the block list, the secret of tokens, masks against the source's columns.

use runtime::config::Loaded;
use schemas::column::RowSchema;

use super::finding::Findings;
use crate::failure::Failure;
use crate::settings::feed::FeedTable;
use crate::settings::{SocialFile, blocklist, masks};

/// What can be told without the source.
pub(super) fn lists(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    if loaded.value.blocklist.is_some() {
        let key = loaded.value.signing.key(loaded.folder());
        match key.and_then(|key| blocklist::keeper(loaded, &key)) {
            Ok(keeper) => {
                let status = keeper.map(|keeper| keeper.status().borrow().clone());
                let told = status.map(|list| format!("{} persons, of {}", list.persons, list.made));
                findings.ok("block list", told.unwrap_or_default());
                silent(loaded, findings);
            }
            Err(failure) => findings.fail("block list", &failure),
        }
    }
    match masks::lanes(loaded) {
        Ok(lanes) if lanes.is_empty() => {}
        Ok(lanes) => findings.ok("masks", format!("of {} lanes", lanes.len())),
        Err(failure) => findings.fail("masks", &failure),
    }
}

fn silent(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    for feed in loaded.value.feeds.iter().filter(|feed| feed.person.is_none()) {
        findings.warn(
            &format!("feed {}", feed.name),
            "names no person column, so the block list keeps nothing of it back; write `person = \"…\"` if it holds rows of \
             persons",
        );
    }
}

/// Whether the source brings what a feed's masks and person name.
pub(super) fn columns(feed: &FeedTable, columns: &RowSchema, findings: &mut Findings) {
    let about = format!("feed {}", feed.name);
    if let Some(person) = feed
        .person
        .as_ref()
        .filter(|name| columns.index_of(name).is_none())
    {
        let what =
            format!("person names the column {person:?}, which the SQL does not bring; correct the name");
        findings.fail(&about, &Failure::usage(what));
    }
    for recipient in feed.masks.keys() {
        match feed.shown_to(recipient, columns.clone()) {
            Ok(shown) => findings.ok(
                &about,
                format!(
                    "{recipient} sees {} of {} columns",
                    shown.columns.len(),
                    columns.columns.len()
                ),
            ),
            Err(failure) => findings.fail(&about, &failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::column::{Column, ColumnType};

    use super::*;

    const FEED: &str = "name = \"setl\"\nsql = \"SELECT * FROM setl\"\ncursor = [\"id\"]\ncursor_set_by = \"sequence\"\n\
        key = [\"id\"]\nrecipients = [\"insurer-a\"]\nperson = \"psn_no\"\n[masks.insurer-a]\nmemo = \"drop\"\n";

    #[test]
    fn masks_and_persons_are_compared_with_the_columns() -> Result<(), toml::de::Error> {
        let columns = |names: &[&str]| RowSchema {
            name: "setl".to_owned(),
            version: 1,
            columns: names
                .iter()
                .map(|name| Column {
                    name: (*name).to_owned(),
                    kind: ColumnType::Text { max: None },
                    nullable: true,
                })
                .collect(),
            key: vec!["id".to_owned()],
            tombstone: None,
        };
        let feed: FeedTable = toml::from_str(FEED)?;
        for (names, told) in [
            (&["id", "psn_no", "memo"][..], "insurer-a sees 2 of 3 columns"),
            (&["id", "memo"], "person names the column \"psn_no\""),
            (&["id", "psn_no"], "there is no column \"memo\""),
        ] {
            let mut findings = Findings::default();
            super::columns(&feed, &columns(names), &mut findings);
            assert!(findings.told().contains(told), "{}", findings.told());
        }
        Ok(())
    }
}
