//! Output of the commands.

use harness::{run, slacktide, until};
use serde_json::Value;

use crate::pipeline::site::{DEADLINE, Site};

pub(super) const WHO: [&str; 2] = ["--actor", "li.na"];

/// Returns the exit code of status, and the first lane as JSON.
pub(super) async fn read_lane(site: &Site, config: &str) -> (Option<i32>, Value) {
    let (code, output) = site
        .command_stdout(&["status", "--json", "--config", config])
        .await;
    let output: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no JSON:\n{output}"));
    (code, output["lanes"][0].clone())
}

/// Waits until status with this configuration shows the first lane in this state and exits with this code.
pub(super) async fn wait_lane_state(site: &Site, config: &str, state: &str, code: i32) -> Value {
    until(&format!("{config} to show {state}"), DEADLINE, async || {
        let (ended, lane) = read_lane(site, config).await;
        if lane["state"] == state && ended == Some(code) {
            Ok(lane)
        } else {
            Err(format!("{ended:?}: {lane}"))
        }
    })
    .await
}

/// Returns the screen as lines, in a pipe. Asserts that no line is wider than `COLUMNS`, and that none has colours.
pub(super) async fn screen(site: &Site, config: &str) -> Vec<String> {
    let mut command = slacktide();
    command.current_dir(site.file(".")).env("COLUMNS", "80");
    command.args(["status", "--config", config]);
    let narrow = run("slacktide", &mut command, DEADLINE).await.stdout;
    assert!(!narrow.is_empty());
    for line in narrow.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let (_, output) = site.command_stdout(&["status", "--config", config]).await;
    let lines: Vec<String> = output.lines().map(str::to_owned).collect();
    for line in lines.iter().map(String::as_str).chain(narrow.lines()) {
        assert!(!line.contains('\x1b'), "{line:?}");
        assert_eq!(line.trim_end(), line, "spaces at the end");
    }
    lines
}

/// Returns whether the text at a key contains these words.
pub(super) fn text_contains(value: &Value, key: &str, words: &str) -> bool {
    value[key].as_str().is_some_and(|text| text.contains(words))
}
