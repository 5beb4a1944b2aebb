//! PURE: what the bureau's agent tells of its block list, in a line.

use serde_json::Value;

/// None where there is none.
pub(super) fn line(page: &Value) -> Option<String> {
    let list = page.get("blocklist").filter(|list| list.is_object())?;
    let persons = list.get("persons").and_then(Value::as_u64)?;
    let made = list.get("made").and_then(Value::as_str)?;
    let mut what = format!("{persons} persons, of {made}");
    if let Some(trouble) = list.get("trouble").and_then(Value::as_str) {
        what.push_str(&format!("; trouble: {trouble}"));
    }
    Some(what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_told_with_its_trouble() {
        assert_eq!(line(&json!({})), None);
        let mut page = json!({ "blocklist": { "persons": 2, "made": "2026-01-31", "trouble": null } });
        assert_eq!(line(&page).as_deref(), Some("2 persons, of 2026-01-31"));
        page["blocklist"]["trouble"] = json!("gone");
        assert_eq!(
            line(&page).as_deref(),
            Some("2 persons, of 2026-01-31; trouble: gone")
        );
    }
}
