//! PURE: one state for each lane, in words, with why and what to do.
//!
//! In this order: what is stopped, wherever; what is held; who is behind; who does not run; what the own agent
//! says; and otherwise whether something came lately.

use jiff::Timestamp;
use schemas::control::{Action, AnyAction};
use serde::Serialize;
use serde_json::Value;

use super::ago::{ago, seconds, span};
use super::facts::{Facts, LaneFacts, Side};

/// A chunk that is not signed for after this long is behind.
const BEHIND_S: i64 = 60;
/// So many chunks that are not signed for are behind, if the receipt is as old as that.
const BEHIND_CHUNKS: u64 = 60;
/// Something came lately.
const LATELY_S: i64 = 10;

/// How a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// Rows move.
    Flowing,
    /// There is nothing that has not moved.
    CaughtUp,
    /// The core is busy.
    WaitingForSlack,
    /// By an operator's order.
    Held,
    /// Somebody has to act.
    Stopped,
    /// The other side has not done its part for a while.
    OtherSideBehind,
    /// This side has not.
    Behind,
    /// This side's agent does not run.
    NotRunning,
    /// Nothing can be seen.
    Unknown,
}

impl State {
    /// In words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Flowing => "flowing",
            Self::CaughtUp => "caught up",
            Self::WaitingForSlack => "waiting for slack",
            Self::Held => "held",
            Self::Stopped => "stopped",
            Self::OtherSideBehind => "other side behind",
            Self::Behind => "this side behind",
            Self::NotRunning => "not running",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nobody has to look.
    pub(crate) fn is_well(self) -> bool {
        matches!(
            self,
            Self::Flowing | Self::CaughtUp | Self::WaitingForSlack | Self::Held
        )
    }
}

/// One lane, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Judged {
    /// Its name.
    pub(crate) lane: String,
    /// How it stands.
    pub(crate) state: State,
    /// Why; empty where the state says it all.
    pub(crate) why: String,
    /// What to do; empty: nothing.
    pub(crate) to_do: String,
    /// Chunks that are not signed for; none: not known.
    pub(crate) lag_chunks: Option<u64>,
    /// Since when the last of them waits, in seconds.
    pub(crate) lag_seconds: Option<i64>,
}

/// All lanes.
pub(crate) fn all(facts: &Facts) -> Vec<Judged> {
    facts.lanes.iter().map(|lane| one(facts, lane)).collect()
}

/// Chunks that are not signed for, and since when the last one waits.
fn lag(lane: &LaneFacts, now: Timestamp) -> (Option<u64>, Option<i64>) {
    let Some(chunk) = &lane.chunk else {
        return (None, None);
    };
    let behind = match &lane.receipt {
        None => chunk.number,
        Some(receipt) if receipt.epoch == chunk.epoch => chunk.number.saturating_sub(receipt.to),
        Some(receipt) if receipt.epoch > chunk.epoch => 0,
        Some(_) => chunk.number,
    };
    (
        Some(behind),
        (behind > 0).then(|| seconds(chunk.stored_at, now).max(0)),
    )
}

/// One lane.
pub(crate) fn one(facts: &Facts, lane: &LaneFacts) -> Judged {
    let (lag_chunks, lag_seconds) = lag(lane, facts.at);
    let (state, why, to_do) = stopped(facts, lane)
        .or_else(|| missing(facts, lane))
        .or_else(|| held(facts, lane))
        .or_else(|| unseen(facts, lane))
        .or_else(|| behind(facts, lane, lag_chunks.unwrap_or(0), lag_seconds))
        .or_else(|| not_running(facts))
        .or_else(|| agent_says(facts, lane))
        .unwrap_or_else(|| moving(facts, lane, lag_chunks.unwrap_or(0)));
    Judged {
        lane: lane.lane().to_string(),
        state,
        why,
        to_do,
        lag_chunks,
        lag_seconds,
    }
}

type Found = Option<(State, String, String)>;

fn own<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts
        .agent
        .page
        .as_ref()?
        .get("lanes")?
        .get(lane.lane().to_string())
}

fn feed<'a>(facts: &'a Facts, lane: &LaneFacts) -> Option<&'a Value> {
    facts.agent.page.as_ref()?.get("feeds")?.get(lane.feed.as_str())
}

/// Whether the bureau's own agent is the one that tells others of its lanes: its page is newer than its notice.
fn tells_itself(facts: &Facts) -> bool {
    let page = facts.agent.page.as_ref();
    let holds = page.and_then(|page| page.pointer("/lease/held")?.as_bool());
    facts.side == Side::Bureau && holds == Some(true)
}

fn text<'a>(value: Option<&'a Value>, key: &str) -> Option<&'a str> {
    value?.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn stopped(facts: &Facts, lane: &LaneFacts) -> Found {
    let own = own(facts, lane);
    if let Some(why) = lane
        .receipt
        .as_ref()
        .and_then(|receipt| receipt.stopped.as_deref())
    {
        let to_do = if facts.side == Side::Bureau && why.contains("restored or rewritten") {
            format!(
                "find out what happened to the exchange, then `slacktide feed rewind {} --recipient {} --from receipt`",
                lane.feed, lane.recipient
            )
        } else if facts.side == Side::Bureau {
            "the receiver's operator has to act: `slacktide status` there says how".to_owned()
        } else {
            "act as it says; the bureau's operator sees it, too".to_owned()
        };
        return Some((State::Stopped, format!("at the receiver: {why}"), to_do));
    }
    if facts.side == Side::Bureau && own.and_then(|own| own.get("stopped")?.as_bool()) == Some(true) {
        let why = text(own, "state").unwrap_or("no reason told");
        let (why, to_do) = why.split_once("; ").unwrap_or((why, "see the agent's log"));
        return Some((State::Stopped, format!("at the bureau: {why}"), to_do.to_owned()));
    }
    if facts.side == Side::Bureau
        && let (Some(now), Some(chunk)) = (lane.definition, &lane.chunk)
        && now != chunk.definition
    {
        let to_do = format!(
            "put the old definition back, or `slacktide feed rewind {} --recipient {} --accept`",
            lane.feed, lane.recipient
        );
        let why = format!(
            "at the bureau: feed definition changed, {:.8}… is now {now:.8}…",
            chunk.definition.to_string()
        );
        return Some((State::Stopped, why, to_do));
    }
    if let Some(why) = text(own, "stopped") {
        return Some((
            State::Stopped,
            format!("at this side: {why}"),
            "act as it says".to_owned(),
        ));
    }
    if let Some(why) = lane
        .bureau_says
        .as_deref()
        .filter(|_| !tells_itself(facts))
        .and_then(|says| says.strip_prefix("stopped: "))
    {
        let to_do = match facts.side {
            Side::Bureau => "`slacktide status` on the host of the agent that holds the lease says how",
            _ => "ask the bureau's operator; nothing can be done here",
        };
        return Some((State::Stopped, format!("at the bureau: {why}"), to_do.to_owned()));
    }
    let state = text(feed(facts, lane), "state").filter(|state| state.starts_with("stopped"))?;
    let (why, to_do) = state
        .split_once("; ")
        .unwrap_or((state, "correct the feed, then restart the agent"));
    Some((State::Stopped, format!("at the source: {why}"), to_do.to_owned()))
}

fn held(facts: &Facts, lane: &LaneFacts) -> Found {
    if let Some(why) = text(own(facts, lane), "held") {
        return Some((State::Held, why.to_owned(), String::new()));
    }
    for order in &facts.orders {
        if let AnyAction::Known(Action::Hold(hold)) = &order.action
            && hold.person.is_none()
            && hold.names(&lane.lane())
        {
            let why = format!("hold {} by {}: {}", order.id, order.actor, order.reason);
            return Some((State::Held, why, String::new()));
        }
    }
    let says = lane
        .bureau_says
        .as_deref()
        .filter(|says| !tells_itself(facts) && says.starts_with("held"))?;
    Some((State::Held, says.to_owned(), String::new()))
}

/// A chunk that stays away while later ones are here: the exchange dropped it or keeps it back.
fn missing(facts: &Facts, lane: &LaneFacts) -> Found {
    let missing = own(facts, lane)?.get("missing")?;
    let since: Timestamp = missing.get("since")?.as_str()?.parse().ok()?;
    let waited = seconds(since, facts.at);
    if facts.side != Side::Insurer || waited <= BEHIND_S {
        return None;
    }
    let (epoch, number) = (missing.get("epoch")?, missing.get("number")?);
    let why = format!(
        "number {number} of epoch {epoch} is missing since {}, and later ones are here: it was dropped at the exchange, or is kept back",
        span(waited)
    );
    let to_do = "ask the auditor for `slacktide audit verify`, then the bureau for a new epoch (`slacktide feed rewind`)";
    Some((State::Stopped, why, to_do.to_owned()))
}

fn unseen(facts: &Facts, lane: &LaneFacts) -> Found {
    if facts.exchange.trouble.is_some() {
        let to_do = "see the exchange above".to_owned();
        return Some((State::Unknown, "the exchange cannot be reached".to_owned(), to_do));
    }
    let why = lane.trouble.clone()?;
    Some((
        State::Unknown,
        why,
        "compare [trust] with the other side's keys".to_owned(),
    ))
}

fn behind(facts: &Facts, lane: &LaneFacts, chunks: u64, since: Option<i64>) -> Found {
    let since = since?;
    let receipt_age = lane
        .receipt
        .as_ref()
        .map(|receipt| seconds(receipt.stored_at, facts.at));
    let many = chunks >= BEHIND_CHUNKS && receipt_age.is_none_or(|age| age > BEHIND_S);
    if since <= BEHIND_S && !many {
        return None;
    }
    let last = receipt_age.map_or("no receipt yet".to_owned(), |age| {
        format!("last receipt {} ago", span(age))
    });
    let why = format!(
        "{chunks} chunks are not signed for, the last since {}; {last}",
        span(since)
    );
    match facts.side {
        Side::Insurer => {
            let own = own(facts, lane);
            let error = text(own, "last_error").or_else(|| text(facts.agent.page.as_ref(), "last_error"));
            let why = error.map_or(why.clone(), |error| format!("{why}; {error}"));
            Some((
                State::Behind,
                why,
                "see that the agent runs and its store answers".to_owned(),
            ))
        }
        Side::Bureau | Side::Other => Some((
            State::OtherSideBehind,
            why,
            "ask the receiver's operator; nothing is lost".to_owned(),
        )),
    }
}

fn not_running(facts: &Facts) -> Found {
    if facts.agent.is_well() {
        return None;
    }
    // Another agent of the same source may do the work.
    if facts.side == Side::Bureau
        && facts
            .lease
            .as_ref()
            .is_some_and(super::facts::LeaseFacts::is_held)
    {
        return None;
    }
    let address = facts.agent.address.as_deref().unwrap_or("its address");
    let to_do = match facts.side {
        Side::Insurer => "start `slacktide commercial run`",
        _ => "start `slacktide social run`",
    };
    Some((
        State::NotRunning,
        format!("no agent answers at {address}"),
        to_do.to_owned(),
    ))
}

fn agent_says(facts: &Facts, lane: &LaneFacts) -> Found {
    let page = facts.agent.page.as_ref()?;
    let away = page
        .pointer("/exchange/state")
        .and_then(Value::as_str)
        .filter(|state| *state != "connected");
    if let Some(state) = away {
        let why = text(page.get("exchange"), "why").map_or(String::new(), |why| format!(": {why}"));
        let to_do = "see the agent's network and credential, or ask `slacktide doctor`".to_owned();
        return Some((
            State::Behind,
            format!("the agent's connection to the exchange is {state}{why}"),
            to_do,
        ));
    }
    if facts.side == Side::Insurer {
        return receiver_says(page, own(facts, lane));
    }
    let gate = page.get("gate");
    if text(gate, "state") == Some("shut") {
        let why = text(gate, "reason").unwrap_or("no reason told").to_owned();
        return Some((State::WaitingForSlack, why, String::new()));
    }
    let feed = feed(facts, lane);
    match text(feed, "state") {
        Some("waiting for the source") => {
            let why = text(feed, "last_error")
                .unwrap_or("the source does not answer")
                .to_owned();
            Some((
                State::Behind,
                why,
                "see that the core's database answers".to_owned(),
            ))
        }
        Some("waiting for the fence") => {
            let who = feed.and_then(|feed| feed.get("fence_held_by"));
            let role = text(who, "role").unwrap_or("somebody");
            let why = format!("a transaction of {role} holds the fence");
            Some((
                State::WaitingForSlack,
                why,
                "it goes on when that transaction ends".to_owned(),
            ))
        }
        Some("caught up") => {
            let error = text(own(facts, lane), "last_error");
            match error {
                Some(error) if own(facts, lane).is_some_and(|own| !own["unpublished_since"].is_null()) => {
                    Some((
                        State::Behind,
                        error.to_owned(),
                        "it is tried again and again".to_owned(),
                    ))
                }
                _ => Some((State::CaughtUp, String::new(), String::new())),
            }
        }
        _ => None,
    }
}

fn receiver_says(page: &Value, own: Option<&Value>) -> Found {
    if let Some(why) = text(own, "waits_for_key") {
        let to_do = "put the seed of that key into [sealing]".to_owned();
        return Some((State::Behind, format!("chunks wait for a key: {why}"), to_do));
    }
    // What the whole agent cannot do, no lane can.
    let why = text(Some(page), "last_error").or_else(|| text(own, "last_error"))?;
    let to_do = "it is tried again and again; nothing is lost meanwhile".to_owned();
    Some((State::Behind, why.to_owned(), to_do))
}

fn moving(facts: &Facts, lane: &LaneFacts, chunks: u64) -> (State, String, String) {
    let none = String::new();
    let Some(chunk) = &lane.chunk else {
        return (State::CaughtUp, "nothing was published yet".to_owned(), none);
    };
    let late = format!("last chunk {}", ago(chunk.stored_at, facts.at));
    if chunks > 0 || seconds(chunk.stored_at, facts.at) <= LATELY_S {
        return (State::Flowing, none.clone(), none);
    }
    match (facts.side, facts.agent.page.is_some()) {
        // It reads and has not caught up.
        (Side::Bureau, true)
            if facts
                .lease
                .as_ref()
                .is_some_and(super::facts::LeaseFacts::is_held) =>
        {
            (State::Flowing, late, none)
        }
        _ => (State::CaughtUp, late, none),
    }
}

#[cfg(test)]
mod tests;
