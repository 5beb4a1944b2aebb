//! The operators of both sides. They see what `slacktide status` shows, and carry out the command that it names, in the order of
//! docs/operate.md: first at the insurer, then at the bureau. They know of no fault.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::record::Record;
use super::remedy::{Remedy, remedies};
use crate::pipeline::site::Site;

/// The configurations of both sides.
const BUREAU: &str = "social.toml";
const INSURER: &str = "poller.toml";

/// Who decides, and why.
const DECISION: [&str; 4] = ["--actor", "li.na", "--reason", "the status shows it"];

/// How long an operator waits for the effect of a command before it is given again.
const REPEAT_AFTER: Duration = Duration::from_secs(15);

/// Most confirmations of the orders for one command.
const MOST_CONFIRMATIONS: usize = 3;

/// What `slacktide status --json` shows of the lane to one side.
#[derive(Debug, Default)]
pub(super) struct View {
    state: String,
    why: String,
    remedy: String,
    /// Chunks without a receipt.
    unsigned: u64,
    /// The epoch of the last chunk.
    pub(super) epoch: Option<u64>,
    /// The agent's own page; null while the agent does not answer.
    pub(super) page: Value,
}

impl View {
    fn of(status: &Value) -> Self {
        let lane = &status["lanes"][0];
        let text = |key: &str| lane[key].as_str().unwrap_or_default().to_owned();
        Self {
            state: text("state"),
            why: text("why"),
            remedy: text("remedy"),
            unsigned: lane["lag_chunks"].as_u64().unwrap_or(0),
            epoch: lane["chunk"]["epoch"].as_u64(),
            page: status["agent"]["page"].clone(),
        }
    }

    /// Returns whether the side shows *caught up*, and asserts what docs/operate.md states of it.
    pub(super) fn is_caught_up(&self) -> bool {
        let is_caught_up = self.state == "caught_up";
        assert!(
            !is_caught_up || self.unsigned == 0,
            "caught up without a receipt for {} chunks",
            self.unsigned
        );
        is_caught_up
    }

    /// Returns a text for messages.
    pub(super) fn describe(&self) -> String {
        format!("{:?}, why {:?}, do {:?}", self.state, self.why, self.remedy)
    }
}

/// The operators.
#[derive(Default)]
pub(super) struct Operators {
    /// Commands that were carried out, with their times.
    done: Vec<(Remedy, Instant)>,
    /// The last command that failed, with its output.
    failed: Option<String>,
    /// Since when the insurer shows rows that a resynchronisation should have removed, while none is under way.
    incomplete_since: Option<Instant>,
}

impl Operators {
    /// Reads both screens and carries out what they ask for. Returns what was seen before, of the bureau and of the insurer.
    pub(super) async fn act(&mut self, site: &Site, record: &Record) -> [View; 2] {
        let views = [view(site, BUREAU).await, view(site, INSURER).await];
        let [bureau, insurer] = &views;
        let refill = remedies(&insurer.remedy, &insurer.why)
            .into_iter()
            .find(Remedy::is_of_insurer);
        if let Some(refill) = refill
            && self.is_due(&refill)
        {
            self.carry_out(site, record, insurer, refill).await;
            return views;
        }
        let orders = bureau.page["orders"]["state"] == "behind";
        let epoch = remedies(&bureau.remedy, &bureau.why)
            .into_iter()
            .find(|remedy| remedy.is_of_bureau() && !bureau.remedy.starts_with("wait"))
            .or_else(|| self.repeated_resync(&views))
            .or_else(|| orders.then_some(Remedy::Confirm));
        if let Some(epoch) = epoch
            && self.is_due(&epoch)
        {
            self.carry_out(site, record, bureau, epoch).await;
        }
        views
    }

    /// Returns the last command that failed, for messages.
    pub(super) fn failure(&self) -> &str {
        self.failed.as_deref().unwrap_or("none")
    }

    fn is_due(&self, remedy: &Remedy) -> bool {
        let last = self.done.iter().rev().find(|(done, _)| done == remedy);
        last.is_none_or(|(_, at)| at.elapsed() > REPEAT_AFTER)
    }

    /// The insurer's screen asks to wait for the end of a resynchronisation, and to have it repeated if it has ended.
    fn repeated_resync(&mut self, [bureau, insurer]: &[View; 2]) -> Option<Remedy> {
        let is_shown = remedies(&insurer.remedy, "").contains(&Remedy::Resync);
        let reasons = &bureau.page["lanes"]["insurer-a.claim"]["unverified"];
        if !is_shown || !reasons["resync_under_way"].is_null() {
            self.incomplete_since = None;
            return None;
        }
        let since = self.incomplete_since.get_or_insert_with(Instant::now);
        (since.elapsed() > REPEAT_AFTER).then_some(Remedy::Resync)
    }

    async fn carry_out(&mut self, site: &Site, record: &Record, seen: &View, remedy: Remedy) {
        record.event(&format!("shown: {}", seen.describe()));
        let mut remedy = remedy;
        for _ in 0..=MOST_CONFIRMATIONS {
            let (is_done, output) = run(site, &remedy).await;
            record.event(&format!(
                "{remedy:?} {}: {}",
                if is_done { "succeeded" } else { "failed" },
                output.trim().replace('\n', " / ")
            ));
            if is_done {
                self.done.push((remedy, Instant::now()));
                return;
            }
            // The message of a refused command names the command that has to be given first, or instead.
            match remedies(&output, "").into_iter().find(|next| *next != remedy) {
                Some(Remedy::Confirm) => {
                    let (_, confirmed) = confirm(site).await;
                    record.event(&format!(
                        "orders confirmed: {}",
                        confirmed.trim().replace('\n', " / ")
                    ));
                }
                Some(next) => {
                    self.done.push((remedy, Instant::now()));
                    remedy = next;
                }
                None => {
                    self.failed = Some(format!("{remedy:?}: {output}"));
                    return;
                }
            }
        }
        self.failed = Some(format!("{remedy:?} was refused repeatedly"));
    }
}

/// Returns what one side is shown of the lane.
async fn view(site: &Site, config: &str) -> View {
    let (_, shown) = site
        .command_stdout(&["status", "--json", "--config", config])
        .await;
    serde_json::from_str(&shown)
        .as_ref()
        .map(View::of)
        .unwrap_or_default()
}

async fn run(site: &Site, remedy: &Remedy) -> (bool, String) {
    let of_lane = ["claim", "--recipient", "insurer-a"];
    let words: Vec<&str> = match remedy {
        Remedy::Refill(from) => vec!["feed", "refill", "claim", "--from", from, "--config", INSURER],
        Remedy::AcceptRows => {
            let words = ["store", "accept", "--feed", "claim", "--config", INSURER];
            [&words[..], &DECISION].concat()
        }
        Remedy::AcceptStore => [&["store", "accept", "--config", INSURER][..], &DECISION].concat(),
        Remedy::Resync => {
            let words = [&["feed", "resync"][..], &of_lane, &["--config", BUREAU]].concat();
            [&words[..], &DECISION].concat()
        }
        Remedy::Rewind(from) => {
            let words = [
                &["feed", "rewind"][..],
                &of_lane,
                &["--from", from, "--config", BUREAU],
            ]
            .concat();
            [&words[..], &DECISION].concat()
        }
        Remedy::Confirm => return confirm(site).await,
    };
    site.command(&words).await
}

/// Confirms the orders in force: this site has none that could be lost.
async fn confirm(site: &Site) -> (bool, String) {
    let (_, shown) = site
        .command_stdout(&["orders", "show", "--json", "--config", BUREAU])
        .await;
    let Ok(shown) = serde_json::from_str::<Value>(&shown) else {
        return (false, "the orders cannot be read".to_owned());
    };
    let digest = shown["record"]["digest"].as_str();
    let named = digest.map_or("none".to_owned(), |digest| {
        format!("{}:{digest}", shown["record"]["number"])
    });
    let words = ["orders", "confirm", "--record", &named, "--config", BUREAU];
    site.command(&[&words[..], &DECISION].concat()).await
}
