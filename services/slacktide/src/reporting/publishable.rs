//! PURE: the part of the agent's page that may leave its host.
//!
//! The page is made for people on the agent's host. It has one thing that is not the agent's own to publish: the database role and
//! the application of a foreign transaction that stalls the fence, which may be a person's name. They are removed where the page
//! has them, also inside its texts. Everything else is published as it is.

use serde_json::Value;

/// Replaces a name that is not published.
const NOT_PUBLISHED: &str = "not published";

/// Returns the page without the names of foreign sessions.
pub(super) fn publishable(mut page: Value) -> Value {
    let mut names = Vec::new();
    if let Some(feeds) = page.get_mut("feeds").and_then(Value::as_object_mut) {
        for holder in feeds
            .values_mut()
            .filter_map(|feed| feed.get_mut("fence_stalled_by"))
        {
            let Some(holder) = holder.as_object_mut() else {
                continue;
            };
            let mut take = |key: &str| match holder.get_mut(key).map(Value::take) {
                Some(Value::String(name)) => {
                    holder.insert(key.to_owned(), NOT_PUBLISHED.into());
                    name
                }
                _ => String::new(),
            };
            names.push((take("role"), take("application")));
        }
    }
    for (role, application) in &names {
        // The texts of `social` and of the lane states about such a transaction.
        let described = format!(" of role {role} (application {application:?}, since");
        let judged = format!("a transaction of {role} holds");
        let pairs = [
            (described.as_str(), " (since"),
            (judged.as_str(), "a transaction holds"),
        ];
        replace(&mut page, &pairs);
    }
    page
}

/// Replaces texts in every string of a value.
fn replace(value: &mut Value, pairs: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (from, to) in pairs {
                if text.contains(from) {
                    *text = text.replace(from, to);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, pairs)),
        Value::Object(fields) => fields.values_mut().for_each(|field| replace(field, pairs)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn publishable_page_has_no_name_of_a_foreign_session() {
        let page = json!({
            "feeds": {
                "setl": {
                    "fence_stalled_by": {"what": "transaction", "role": "zhang.san", "application": "psql \"7\"", "since": "2026-01-31T22:00:00Z"},
                    "unverified": {"fence_stalled": {
                        "detail": "a transaction of role zhang.san (application \"psql \\\"7\\\"\", since 2026-01-31T22:00:00Z) is open",
                        "remedy": "end it",
                    }},
                },
                "clr": {"fence_stalled_by": null, "rows_read": 7},
            },
            "states": {"a.setl": {"state": "waiting_for_slack", "why": "a transaction of zhang.san holds the fence"}},
        });
        let published = publishable(page.clone());
        let text = published.to_string();
        assert!(!text.contains("zhang.san") && !text.contains("psql"), "{text}");
        assert!(
            text.contains("a transaction (since 2026-01-31T22:00:00Z) is open"),
            "{text}"
        );
        assert!(text.contains("a transaction holds the fence"), "{text}");
        assert_eq!(published["feeds"]["clr"], page["feeds"]["clr"]);
    }

    #[test]
    fn publishable_page_is_otherwise_unchanged() {
        for page in [
            json!({"feeds": {"setl": {"state": "a transaction of x holds the fence"}}, "states": []}),
            json!({"recipient": "insurer-a", "lanes": {"insurer-a.setl": {"stopped": "of role x (application"}}}),
            json!(null),
        ] {
            assert_eq!(publishable(page.clone()), page);
        }
    }
}
