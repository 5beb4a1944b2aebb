//! What the commands print.

use harness::until;
use serde_json::Value;

use crate::path::site::{PATIENCE, Site};

/// Who acts in these tests.
pub(super) const WHO: [&str; 2] = ["--actor", "li.na"];

/// One look at the first lane: exit code, and the lane as data.
pub(super) async fn lane(site: &Site, config: &str) -> (Option<i32>, Value) {
    let (code, told) = site.asked(&["status", "--json", "--config", config]).await;
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("no JSON:\n{told}"));
    (code, told["lanes"][0].clone())
}

/// Waits until the first lane is in this state by this file, which ends with this exit code.
pub(super) async fn shows(site: &Site, config: &str, state: &str, code: i32) -> Value {
    until(&format!("{config} to show {state}"), PATIENCE, async || {
        let (ended, lane) = lane(site, config).await;
        if lane["state"] == state && ended == Some(code) {
            Ok(lane)
        } else {
            Err(format!("{ended:?}: {lane}"))
        }
    })
    .await
}

/// The screen as lines; none is wider than it may be, and without a terminal none has colours.
pub(super) async fn screen(site: &Site, config: &str) -> Vec<String> {
    let (_, told) = site.asked(&["status", "--config", config]).await;
    let lines: Vec<String> = told.lines().map(str::to_owned).collect();
    for line in &lines {
        assert!(line.chars().count() <= 100 && !line.contains('\x1b'), "{line:?}");
        assert_eq!(line.trim_end(), line, "spaces at the end");
    }
    lines
}

/// Whether a text at a key has these words.
pub(super) fn has(value: &Value, key: &str, words: &str) -> bool {
    value[key].as_str().is_some_and(|text| text.contains(words))
}
