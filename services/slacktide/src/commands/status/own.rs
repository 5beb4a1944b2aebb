//! The lanes of an agent as it knows them itself, judged by the very function that `slacktide status` judges with, so that
//! its pages and metrics show the same state.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nats::JetStream;
use runtime::metrics::MetricsText;
use schemas::name::PartyName;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::facts::{Facts, SeenBy};
use super::judge::{self, Judged, State};
use crate::failure::Failure;

/// How often the other side's part is read at the exchange. What the agent itself knows is always of now.
const EVERY: Duration = Duration::from_secs(20);

/// What was seen last.
#[derive(Clone)]
pub(crate) struct OwnLanes {
    seen_by: Arc<SeenBy>,
    seen: Arc<Mutex<Option<Facts>>>,
}

impl OwnLanes {
    /// For the agent of this file.
    pub(crate) fn new(path: &Path, bureau: PartyName) -> Result<Self, Failure> {
        Ok(Self {
            seen_by: Arc::new(SeenBy::new(path, Vec::new(), bureau)?),
            seen: Arc::default(),
        })
    }

    /// Reads at the exchange until `stop`; `page` gives the agent's own page.
    pub(crate) fn watch(
        &self,
        exchange: JetStream,
        page: impl Fn() -> Value + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let own = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = tick.tick() => {}
                }
                let seen = tokio::select! {
                    () = stop.cancelled() => return,
                    seen = own.seen_by.gather(&exchange, page()) => seen,
                };
                *own.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            }
        });
    }

    /// Each lane's state now, by the agent's own page.
    pub(crate) fn judged(&self, page: Value) -> Vec<Judged> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        judge::all(&joined(seen, self.seen_by.unseen(page)))
    }
}

/// PURE: what was seen at the exchange, with the page and the lanes of now.
fn joined(seen: Option<Facts>, now: Facts) -> Facts {
    let Some(mut facts) = seen else { return now };
    for lane in now.lanes {
        if facts.lanes.iter().all(|known| known.lane() != lane.lane()) {
            facts.lanes.push(lane);
        }
    }
    (facts.agent, facts.at) = (now.agent, now.at);
    facts
}

/// The states as a part of the status page, by lane.
pub(crate) fn data(judged: &[Judged]) -> Value {
    let states = judged.iter().map(|lane| {
        let state = json!({ "state": lane.state, "why": lane.why, "to_do": lane.to_do });
        (lane.lane.clone(), state)
    });
    Value::Object(states.collect())
}

/// Whether nobody has to act on a lane.
pub(crate) fn healthy(judged: &[Judged]) -> Result<(), String> {
    match judged.iter().find(|lane| lane.state.needs_action()) {
        Some(lane) => Err(format!(
            "lane {} is {}: {}; {}",
            lane.lane,
            lane.state.word(),
            lane.why,
            lane.to_do
        )),
        None => Ok(()),
    }
}

/// The states as metrics: 1 for the state that a lane has, 0 for every other.
pub(crate) fn metrics(judged: &[Judged], text: &mut MetricsText) {
    let help = "1 for the state of the lane as `slacktide status` shows it, 0 for the others.";
    for lane in judged {
        for state in State::ALL {
            let name = serde_json::to_value(state).unwrap_or_default();
            let labels = [
                ("lane", lane.lane.as_str()),
                ("state", name.as_str().unwrap_or_default()),
            ];
            let is = f64::from(u8::from(lane.state == state));
            text.gauge("slacktide_lane_state", help, &labels, is);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(state: State) -> Judged {
        Judged {
            lane: "insurer-a.claim".to_owned(),
            state,
            why: "a cause".to_owned(),
            to_do: "a remedy".to_owned(),
            lag_chunks: None,
            lag_seconds: None,
        }
    }

    #[test]
    fn own_surfaces_agree_in_every_state() {
        for state in State::ALL {
            let judged = [lane(state)];
            let name = serde_json::to_value(state).unwrap();
            assert_eq!(data(&judged)["insurer-a.claim"]["state"], name);
            let mut text = MetricsText::new();
            metrics(&judged, &mut text);
            let text = text.finish();
            let is_set: Vec<&str> = text.lines().filter(|line| line.ends_with(" 1")).collect();
            assert_eq!(is_set.len(), 1, "{text}");
            let label = format!("state=\"{}\"", name.as_str().unwrap());
            assert!(is_set[0].contains(&label), "{text}");
            let health = healthy(&judged);
            assert_eq!(health.is_err(), state.needs_action(), "{state:?}: {health:?}");
            assert!(!state.needs_action() || !state.is_well(), "{state:?}");
        }
    }

    #[test]
    fn own_states_are_all_listed_once() {
        let words: std::collections::BTreeSet<&str> = State::ALL.iter().map(|state| state.word()).collect();
        assert_eq!(words.len(), State::ALL.len());
    }
}
