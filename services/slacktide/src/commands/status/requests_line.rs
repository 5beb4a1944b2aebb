//! Renders the data requests of the agent's status page in one line.

use jiff::Timestamp;
use serde_json::Value;

use super::ago::{seconds, span};

/// Returns `None` if the agent handles no requests.
pub(super) fn line(page: &Value, now: Timestamp) -> Option<String> {
    let requests = page.get("requests").filter(|requests| requests.is_object())?;
    let count = |name: &str| requests.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut what = match requests.get("waiting") {
        Some(_) => bureau(requests, &count, now),
        None => insurer(&count),
    };
    if let Some((id, why)) = requests
        .get("refused")
        .and_then(Value::as_object)
        .and_then(|refused| refused.iter().next())
    {
        let why = why.as_str().unwrap_or_default();
        what.push_str(&format!("; the store refuses the reply to {id}: {why}"));
    }
    if let Some(error) = requests.get("last_error").and_then(Value::as_str) {
        what.push_str(&format!("; error: {error}"));
    }
    Some(what)
}

fn bureau(requests: &Value, count: &dyn Fn(&str) -> u64, now: Timestamp) -> String {
    let waiting = count("waiting");
    if waiting == 0 {
        return "none waits for an outcome".to_owned();
    }
    let mut what = format!("{waiting} wait for an outcome");
    let parts = [
        ("queued", "in the queue"),
        ("answering", "being answered"),
        ("for_approval", "awaiting approval: `slacktide approvals list`"),
        ("held", "held"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(name, _)| count(name) > 0)
        .map(|(name, words)| format!("{} {words}", count(name)))
        .collect();
    if !parts.is_empty() {
        what.push_str(&format!(" ({})", parts.join(", ")));
    }
    let oldest = requests.get("oldest").and_then(Value::as_str);
    if let Some(oldest) = oldest.and_then(|text| text.parse::<Timestamp>().ok()) {
        what.push_str(&format!(", the oldest for {}", span(seconds(oldest, now))));
    }
    what
}

fn insurer(count: &dyn Fn(&str) -> u64) -> String {
    let mut what = format!(
        "{} filed, {} outcomes stored since the agent started",
        count("filed"),
        count("replies")
    );
    for (name, words) in [
        (
            "not_filed",
            "refused by the exchange: `slacktide request list --state not_filed`",
        ),
        (
            "unfit",
            "rows of the outbox are not valid requests: each row holds the reason",
        ),
    ] {
        if count(name) > 0 {
            what.push_str(&format!("; {} {words}", count(name)));
        }
    }
    what
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_line_shows_the_state_of_each_side() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        let line = |page: Value| line(&page, now);
        assert_eq!(line(json!({ "lanes": {} })), None);
        assert_eq!(line(json!({ "requests": null })), None);
        let idle = json!({ "requests": { "waiting": 0, "oldest": null, "last_error": null } });
        assert_eq!(line(idle).as_deref(), Some("none waits for an outcome"));
        let busy = json!({ "requests": {
            "waiting": 7, "queued": 3, "answering": 1, "for_approval": 2, "held": 0,
            "oldest": "2026-01-31T11:55:00Z", "last_error": "the exchange is unreachable",
        } });
        assert_eq!(
            line(busy).as_deref(),
            Some(
                "7 wait for an outcome (3 in the queue, 1 being answered, 2 awaiting approval: `slacktide approvals list`), \
                 the oldest for 5 min; error: the exchange is unreachable"
            )
        );
        let refused = json!({ "requests": { "filed": 1, "replies": 0, "refused": { "20260131-x": "a table; name it" } } });
        let text = line(refused).unwrap_or_default();
        assert!(
            text.ends_with("the store refuses the reply to 20260131-x: a table; name it"),
            "{text}"
        );
        let asked = json!({ "requests": { "filed": 5, "replies": 4, "not_filed": 1, "unfit": 0 } });
        assert_eq!(
            line(asked).as_deref(),
            Some(
                "5 filed, 4 outcomes stored since the agent started; 1 refused by the exchange: \
                 `slacktide request list --state not_filed`"
            )
        );
    }
}
