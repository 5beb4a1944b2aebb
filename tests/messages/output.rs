//! Everything that the agents write, except for rows.

use crate::pipeline::site::{Agent, Site};

/// The streams that the auditor can replay.
const STREAMS: [&str; 6] = ["data", "receipts", "requests", "replies", "confirms", "audit"];

/// The name of a patient. It is in rows, and nowhere else.
pub(super) const MARKER: &str = "HUSH-Zhang-Wei-4711";

/// Texts with their sources.
pub(super) struct AgentOutput(Vec<(String, String)>);

impl AgentOutput {
    /// Collects what the agents have written, show and have sent, and what the commands print of them.
    pub(super) async fn collect(site: &Site, agents: &[&Agent]) -> Self {
        let mut output = Vec::new();
        for agent in agents {
            let name = agent.port.to_string();
            output.push((
                format!("log {name}"),
                agent.process.stdout() + &agent.process.stderr(),
            ));
            for page in ["/status", "/metrics", "/livez", "/readyz", "/healthz"] {
                let body = agent.page(page).await.map(|page| page.body);
                output.push((format!("page {name}{page}"), body.unwrap_or_default()));
            }
        }
        for arguments in [
            "status --config social.toml",
            "status --config poller.toml",
            "doctor --config social.toml",
            "doctor --config poller.toml",
            "config show --config social.toml",
            "quarantine list --config poller.toml",
            "quarantine list --config poller.toml --json",
            "quarantine list --config social.toml",
            "audit verify --config auditor.toml",
        ] {
            let split: Vec<&str> = arguments.split(' ').collect();
            output.push((arguments.to_owned(), site.command(&split).await.1));
        }
        // Every message without its body: for a chunk, the manifest.
        for stream in STREAMS {
            let replay = ["audit", "replay", "--stream", stream, "--config", "auditor.toml"];
            let (is_ok, text) = site.command(&replay).await;
            assert!(is_ok, "{stream}: {text}");
            output.push((format!("stream {stream}"), text));
        }
        Self(output)
    }

    /// Asserts that the marker is nowhere.
    pub(super) fn assert_no_marker(&self) {
        for (from, text) in &self.0 {
            assert!(!text.contains(MARKER), "{from}:\n{text}");
        }
    }

    /// Asserts that a text of a source is found: the search covers that source.
    pub(super) fn assert_contains(&self, from: &str, text: &str) {
        let found = self.0.iter().filter(|(place, _)| place.starts_with(from));
        let all: Vec<&str> = found.map(|(_, text)| text.as_str()).collect();
        assert!(!all.is_empty(), "nothing comes from {from}");
        assert!(
            all.iter().any(|output| output.contains(text)),
            "{text} in none of {all:?}"
        );
    }
}
