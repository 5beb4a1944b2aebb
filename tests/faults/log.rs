//! Asserts on what an agent logs during a fault: once, and not once a second.

use std::collections::BTreeMap;

use crate::pipeline::site::Agent;

/// The position in the log of an agent from which warnings are counted.
pub(super) struct LogCapture(usize);

impl LogCapture {
    pub(super) fn start(agent: &Agent) -> Self {
        Self(agent.process.stderr().len())
    }

    /// Asserts that it logged warnings, and none of them more often than `times`.
    pub(super) fn assert_logged_at_most(&self, times: usize, agent: &Agent) {
        let all = agent.process.stderr();
        let logged = warnings(all.get(self.0..).unwrap_or_default());
        assert!(!logged.is_empty(), "it logged nothing of the fault:\n{all}");
        for (what, count) in logged {
            assert!(count <= times, "logged {count} times: {what}\n{all}");
        }
    }
}

/// Returns warnings and errors without their numbers, each with its count.
fn warnings(log: &str) -> BTreeMap<String, usize> {
    let mut logged = BTreeMap::new();
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
        *logged.entry(text).or_default() += 1;
    }
    logged
}

#[test]
fn warnings_that_differ_in_numbers_are_counted_together() {
    let log = "{\"level\":\"WARN\",\"timestamp\":\"1\",\"message\":\"try 1\"}\n{\"level\":\"INFO\",\"message\":\"x\"}\nodd\n\
               {\"level\":\"WARN\",\"timestamp\":\"2\",\"message\":\"try 27\"}";
    assert_eq!(warnings(log).into_values().collect::<Vec<_>>(), [2]);
}
