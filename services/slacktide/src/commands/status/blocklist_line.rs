//! Renders the block list of the bureau's status page in one line.

use serde_json::Value;

/// Returns `None` if no block list is configured.
pub(super) fn line(page: &Value) -> Option<String> {
    let list = page.get("blocklist").filter(|list| list.is_object())?;
    let persons = list.get("persons").and_then(Value::as_u64)?;
    let made = list.get("made").and_then(Value::as_str)?;
    let mut what = format!("{persons} persons, of {made}");
    if let Some(error) = list.get("error").and_then(Value::as_str) {
        what.push_str(&format!("; error: {error}"));
    }
    Some(what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocklist_line_shows_the_error() {
        assert_eq!(line(&json!({})), None);
        let mut page = json!({ "blocklist": { "persons": 2, "made": "2026-01-31", "error": null } });
        assert_eq!(line(&page).as_deref(), Some("2 persons, of 2026-01-31"));
        page["blocklist"]["error"] = json!("gone");
        assert_eq!(
            line(&page).as_deref(),
            Some("2 persons, of 2026-01-31; error: gone")
        );
    }
}
