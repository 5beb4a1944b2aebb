//! The lane states on an agent's own pages and metrics, derived by the same function as in `slacktide status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use runtime::health::Problem;
use runtime::metrics::MetricsText;
use schemas::name::PartyName;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::facts::{Facts, StatusCollector};
use super::judge::{self, JudgedLane, State};
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;

/// How often the exchange is read. The agent's own facts are always current.
const REFRESH_INTERVAL: Duration = Duration::from_secs(20);

/// The last facts read at the exchange.
#[derive(Clone)]
pub(crate) struct AgentLanes {
    collector: Arc<StatusCollector>,
    last_facts: Arc<Mutex<Option<Facts>>>,
    seen: Arc<Mutex<SeenStates>>,
}

impl AgentLanes {
    /// Creates it for the agent of this file.
    pub(crate) fn new(path: &Path, bureau: PartyName) -> Result<Self, Failure> {
        Ok(Self {
            collector: Arc::new(StatusCollector::new(path, Vec::new(), bureau)?),
            last_facts: Arc::default(),
            seen: Arc::default(),
        })
    }

    /// Reads the exchange periodically until `stop`; `page` returns the agent's own page.
    pub(crate) fn watch(
        &self,
        exchange: ExchangeClient,
        page: impl Fn() -> Value + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        let own = self.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(REFRESH_INTERVAL);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = tick.tick() => {}
                }
                let last_facts = tokio::select! {
                    () = stop.cancelled() => return,
                    last_facts = own.collector.collect_for_agent(&exchange, page()) => last_facts,
                };
                *own.last_facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(last_facts);
            }
        });
    }

    /// Returns each lane's current state, given the agent's own page.
    pub(crate) fn judged(&self, page: Value) -> Vec<JudgedLane> {
        let last_facts = self
            .last_facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        judge::judge_all(&merge(last_facts, self.collector.local_facts(page)))
    }

    /// Returns each lane's current state for the status page, given the agent's own page.
    pub(crate) fn status_data(&self, page: Value) -> Value {
        let judged = self.judged(page);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.note(&judged, Timestamp::now());
        seen.status_data(&judged)
    }
}

/// Since when each lane has been seen in its state, by this process.
#[derive(Debug, Default)]
struct SeenStates(BTreeMap<String, (State, Timestamp)>);

impl SeenStates {
    /// Notes the states of now.
    fn note(&mut self, judged: &[JudgedLane], now: Timestamp) {
        for lane in judged {
            let seen = self.0.entry(lane.lane.clone()).or_insert((lane.state, now));
            if seen.0 != lane.state {
                *seen = (lane.state, now);
            }
        }
    }

    /// Returns the states by lane, for the status page.
    fn status_data(&self, judged: &[JudgedLane]) -> Value {
        let states = judged.iter().map(|lane| {
            let since = self.0.get(&lane.lane).map(|(_, since)| since);
            let state =
                json!({ "state": lane.state, "since": since, "why": lane.why, "remedy": lane.remedy });
            (lane.lane.clone(), state)
        });
        Value::Object(states.collect())
    }
}

/// Combines the facts of the exchange with the current page and lanes.
fn merge(last_facts: Option<Facts>, now: Facts) -> Facts {
    let Some(mut facts) = last_facts else { return now };
    for lane in now.lanes {
        if facts.lanes.iter().all(|known| known.lane() != lane.lane()) {
            facts.lanes.push(lane);
        }
    }
    (facts.agent, facts.at) = (now.agent, now.at);
    facts
}

/// Fails if a lane needs an operator.
pub(crate) fn check_health(judged: &[JudgedLane]) -> Result<(), Problem> {
    match judged.iter().find(|lane| lane.state.needs_action()) {
        Some(lane) => Err(format!(
            "lane {} is {}: {}; {}",
            lane.lane,
            lane.state.label(),
            lane.why,
            lane.remedy
        )
        .into()),
        None => Ok(()),
    }
}

/// The states as metrics: 1 for the state that a lane has, 0 for every other.
pub(crate) fn write_metrics(judged: &[JudgedLane], text: &mut MetricsText) {
    let help = "1 for the state of the lane as `slacktide status` shows it, 0 for the others.";
    for lane in judged {
        for state in State::ALL {
            let name = serde_json::to_value(state).unwrap_or_default();
            let labels = [
                ("lane", lane.lane.as_str()),
                ("state", name.as_str().unwrap_or_default()),
            ];
            let value = f64::from(u8::from(lane.state == state));
            text.gauge("slacktide_lane_state", help, &labels, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(state: State) -> JudgedLane {
        JudgedLane {
            lane: "insurer-a.claim".to_owned(),
            state,
            why: "a cause".to_owned(),
            remedy: "a remedy".to_owned(),
            lag_chunks: None,
            lag_seconds: None,
        }
    }

    #[test]
    fn own_surfaces_agree_in_every_state() {
        for state in State::ALL {
            let judged = [lane(state)];
            let name = serde_json::to_value(state).unwrap();
            let data = SeenStates::default().status_data(&judged);
            assert_eq!(data["insurer-a.claim"]["state"], name);
            let mut text = MetricsText::new();
            write_metrics(&judged, &mut text);
            let text = text.finish();
            let is_set: Vec<&str> = text.lines().filter(|line| line.ends_with(" 1")).collect();
            assert_eq!(is_set.len(), 1, "{text}");
            let label = format!("state=\"{}\"", name.as_str().unwrap());
            assert!(is_set[0].contains(&label), "{text}");
            let health = check_health(&judged);
            assert_eq!(health.is_err(), state.needs_action(), "{state:?}: {health:?}");
            assert!(!state.needs_action() || !state.is_well(), "{state:?}");
        }
    }

    #[test]
    fn own_state_is_seen_since_its_last_change() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut seen = SeenStates::default();
        for (state, second, since) in [
            (State::Flowing, 1, 1),
            (State::Flowing, 5, 1),
            (State::Stopped, 7, 7),
            (State::Flowing, 9, 9),
        ] {
            let judged = [lane(state)];
            seen.note(&judged, at(second));
            let data = seen.status_data(&judged);
            assert_eq!(data["insurer-a.claim"]["since"], json!(at(since)), "{state:?}");
        }
    }

    #[test]
    fn own_states_are_all_listed_once() {
        let words: std::collections::BTreeSet<&str> = State::ALL.iter().map(|state| state.label()).collect();
        assert_eq!(words.len(), State::ALL.len());
    }
}
