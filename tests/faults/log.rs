//! What an agent said while a fault lasted: once, and not once a second.

use std::collections::BTreeMap;

use crate::path::site::Agent;

/// From here on it is listened to what an agent logs.
pub(super) struct Listening(usize);

impl Listening {
    pub(super) fn to(agent: &Agent) -> Self {
        Self(agent.process.stderr().len())
    }

    /// Nothing that it warned of was said more often than this; something was.
    pub(super) fn said_at_most(&self, times: usize, agent: &Agent) {
        let all = agent.process.stderr();
        let said = warnings(all.get(self.0..).unwrap_or_default());
        assert!(!said.is_empty(), "it said nothing of the fault:\n{all}");
        for (what, count) in said {
            assert!(count <= times, "said {count} times: {what}\n{all}");
        }
    }
}

/// Warnings and errors, numbers left out, each with how often it was said.
fn warnings(log: &str) -> BTreeMap<String, usize> {
    let mut said = BTreeMap::new();
    for line in log.lines() {
        let Ok(serde_json::Value::Object(mut line)) = serde_json::from_str(line) else {
            continue;
        };
        if !["WARN", "ERROR"].contains(
            &line
                .get("level")
                .and_then(|level| level.as_str())
                .unwrap_or_default(),
        ) {
            continue;
        }
        line.remove("timestamp");
        let text = serde_json::Value::Object(line).to_string();
        let text: String = text.split(|sign: char| sign.is_ascii_digit()).collect();
        *said.entry(text).or_default() += 1;
    }
    said
}

#[test]
fn warnings_are_counted_whatever_numbers_they_hold() {
    let log = "{\"level\":\"WARN\",\"timestamp\":\"1\",\"message\":\"try 1\"}\n{\"level\":\"INFO\",\"message\":\"x\"}\nodd\n\
               {\"level\":\"WARN\",\"timestamp\":\"2\",\"message\":\"try 27\"}";
    assert_eq!(warnings(log).into_values().collect::<Vec<_>>(), [2]);
}
