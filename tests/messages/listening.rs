//! All that leaves the agents, as far as it is no row.

use crate::path::site::{Agent, Site};

/// The streams that the auditor can replay.
const STREAMS: [&str; 6] = ["data", "receipts", "requests", "replies", "confirms", "audit"];

/// The name of a patient. It is in rows, and nowhere else.
pub(super) const MARKER: &str = "HUSH-Zhang-Wei-4711";

/// What was found, with where it comes from.
pub(super) struct Heard(Vec<(String, String)>);

impl Heard {
    /// Everything that the agents have written, show and have sent, and what the commands print of them.
    pub(super) async fn of(site: &Site, agents: &[&Agent]) -> Self {
        let mut heard = Vec::new();
        for agent in agents {
            let name = agent.port.to_string();
            heard.push((
                format!("log {name}"),
                agent.process.stdout() + &agent.process.stderr(),
            ));
            for page in ["/status", "/metrics", "/health/live", "/health/ready", "/healthz"] {
                let body = agent.page(page).await.map(|page| page.body);
                heard.push((format!("page {name}{page}"), body.unwrap_or_default()));
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
            heard.push((arguments.to_owned(), site.command(&split).await.1));
        }
        // Every message without its body: of a chunk, the manifest.
        for stream in STREAMS {
            let replay = ["audit", "replay", "--stream", stream, "--config", "auditor.toml"];
            let (well, text) = site.command(&replay).await;
            assert!(well, "{stream}: {text}");
            heard.push((format!("stream {stream}"), text));
        }
        Self(heard)
    }

    /// The marker is nowhere in it.
    pub(super) fn has_no_marker(&self) {
        for (from, text) in &self.0 {
            assert!(!text.contains(MARKER), "{from}:\n{text}");
        }
    }

    /// A text is somewhere in it: what was listened to was there to be heard.
    pub(super) fn has(&self, from: &str, text: &str) {
        let found = self.0.iter().filter(|(place, _)| place.starts_with(from));
        let all: Vec<&str> = found.map(|(_, text)| text.as_str()).collect();
        assert!(!all.is_empty(), "nothing comes from {from}");
        assert!(
            all.iter().any(|heard| heard.contains(text)),
            "{text} in none of {all:?}"
        );
    }
}
