//! Checks the block list, the masking secret, and masks against the source's columns.

use runtime::config::Loaded;
use schemas::column::RowSchema;

use super::finding::Findings;
use crate::failure::Failure;
use crate::settings::feed::FeedTable;
use crate::settings::{SocialFile, blocklist, masks};

/// Checks block list and masks without the source.
pub(super) fn check_lists(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    if loaded.value.blocklist.is_some() {
        let key = loaded.value.signing.key(loaded.folder());
        match key.and_then(|key| blocklist::open_blocklist(loaded, &key)) {
            Ok(list) => {
                let status = list.map(|list| list.status().borrow().clone());
                let summary = status.map(|list| format!("{} persons, of {}", list.persons, list.made));
                findings.ok("block list", summary.unwrap_or_default());
                warn_without_person(loaded, findings);
            }
            Err(failure) => findings.fail("block list", &failure),
        }
    }
    match masks::lane_masks(loaded) {
        Ok(lanes) if lanes.is_empty() => {}
        Ok(lanes) => findings.ok("masks", format!("of {} lanes", lanes.len())),
        Err(failure) => findings.fail("masks", &failure),
    }
}

fn warn_without_person(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    for feed in loaded.value.feeds.iter().filter(|feed| feed.person.is_none()) {
        findings.warn(
            &format!("feed {}", feed.name),
            "names no person column, so the block list withholds none of its rows; write `person = \"…\"` if it holds rows of \
             persons",
        );
    }
}

/// Checks that the source has the columns that a feed's masks and person name.
pub(super) fn check_columns(feed: &FeedTable, columns: &RowSchema, findings: &mut Findings) {
    let about = format!("feed {}", feed.name);
    if let Some(person) = feed
        .person
        .as_ref()
        .filter(|name| columns.index_of(name).is_none())
    {
        let what =
            format!("person names the column {person:?}, which the SQL does not return; correct the name");
        findings.fail(&about, &Failure::usage(what));
    }
    for recipient in feed.masks.keys() {
        match feed.visible_columns(recipient, columns.clone()) {
            Ok(visible) => findings.ok(
                &about,
                format!(
                    "{recipient} sees {} of {} columns",
                    visible.columns.len(),
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
    fn masking_names_are_compared_with_the_columns() -> Result<(), toml::de::Error> {
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
        for (names, expected) in [
            (&["id", "psn_no", "memo"][..], "insurer-a sees 2 of 3 columns"),
            (&["id", "memo"], "person names the column \"psn_no\""),
            (&["id", "psn_no"], "there is no column \"memo\""),
        ] {
            let mut findings = Findings::default();
            super::check_columns(&feed, &columns(names), &mut findings);
            assert!(
                findings.plain_text().contains(expected),
                "{}",
                findings.plain_text()
            );
        }
        Ok(())
    }
}
