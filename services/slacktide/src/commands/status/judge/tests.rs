//! A table of facts and expected states.

use jiff::Timestamp;
use schemas::column::RowSchema;
use schemas::control::{Action, AnyAction, Hold, Order};
use schemas::digest::Digest;
use serde_json::{Value, json};

use super::super::facts::{AgentFacts, ChunkFacts, ExchangeFacts, LeaseFacts, ReceiptFacts};
use super::behind::lag;
use super::*;

const NOW: i64 = 100_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn definition() -> Digest {
    Digest::of(&[b"definition"])
}

/// A lane whose chunk and receipt are equal, an hour old.
fn lane() -> LaneFacts {
    LaneFacts {
        recipient: "a".parse().unwrap(),
        feed: "f".parse().unwrap(),
        definition: Some(definition()),
        changed: None,
        chunk: Some(ChunkFacts {
            epoch: 1,
            number: 7,
            stored_at: at(NOW - 3_600),
            rows: 1,
            withheld: 0,
            rejects: 0,
            outstanding: [].into(),
            is_resync: false,
            definition: definition(),
            schema: RowSchema {
                name: "f".into(),
                version: 1,
                columns: Vec::new(),
                key: Vec::new(),
                tombstone: None,
            },
            has_cursor: true,
        }),
        receipt: Some(ReceiptFacts {
            epoch: 1,
            to: 7,
            stored_at: at(NOW - 3_600),
            rows: 7,
            quarantined: Vec::new(),
            stopped: None,
            is_behind: false,
        }),
        bureau_notice: None,
        error: None,
    }
}

fn facts(side: Side, page: Option<Value>) -> Facts {
    Facts {
        side,
        user: "u".into(),
        at: at(NOW),
        exchange: ExchangeFacts::default(),
        agent: AgentFacts {
            address: Some("127.0.0.1:1".into()),
            page,
        },
        lease: None,
        orders: Vec::new(),
        orders_error: None,
        lanes: Vec::new(),
    }
}

fn bureau(feed: &str, gate: &str) -> Option<Value> {
    Some(json!({
        "gate": { "state": gate, "reason": "host_cpu 91 %" }, "feeds": { "f": { "state": feed } },
        "lanes": { "a.f": { "state": "ready", "stopped": false, "held": null, "unpublished_since": null } },
        "exchange": { "state": "connected" },
    }))
}

fn insurer() -> Option<Value> {
    Some(json!({ "lanes": { "a.f": { "stopped": null } }, "exchange": { "state": "connected" } }))
}

#[test]
fn judge_each_set_of_facts_has_one_state() {
    type Change = fn(&mut Facts, &mut LaneFacts);
    let fresh: Change = |_, lane| lane.chunk.as_mut().unwrap().stored_at = at(NOW - 2);
    let unsigned: Change = |_, lane| lane.chunk.as_mut().unwrap().number = 9;
    type Case = (&'static str, Side, Option<Value>, Change, State, &'static str);
    let table: Vec<Case> = vec![
        (
            "quiet",
            Side::Bureau,
            bureau("caught up", "open"),
            |_, _| {},
            State::CaughtUp,
            "",
        ),
        ("fresh", Side::Insurer, insurer(), fresh, State::Flowing, ""),
        (
            "quiet there",
            Side::Insurer,
            insurer(),
            |_, _| {},
            State::CaughtUp,
            "last chunk 1 h ago",
        ),
        (
            "closed",
            Side::Bureau,
            bureau("waiting for the gate", "closed"),
            |_, _| {},
            State::WaitingForSlack,
            "host_cpu",
        ),
        (
            "without a receipt",
            Side::Bureau,
            bureau("caught up", "open"),
            unsigned,
            State::OtherSideBehind,
            "2 chunks",
        ),
        (
            "without a receipt, there",
            Side::Insurer,
            insurer(),
            unsigned,
            State::Behind,
            "2 chunks",
        ),
        (
            "without a receipt, to an auditor",
            Side::Other,
            None,
            unsigned,
            State::OtherSideBehind,
            "2 chunks",
        ),
        (
            "just published",
            Side::Bureau,
            bureau("reading", "open"),
            |_, lane| {
                let chunk = lane.chunk.as_mut().unwrap();
                (chunk.number, chunk.stored_at) = (9, at(NOW - 2));
            },
            State::Flowing,
            "",
        ),
        (
            "everything is published, and not signed for",
            Side::Bureau,
            bureau("caught up", "open"),
            |_, lane| {
                let chunk = lane.chunk.as_mut().unwrap();
                (chunk.number, chunk.stored_at) = (9, at(NOW - 20));
            },
            State::Flowing,
            "",
        ),
        (
            "the exchange lost the agent's last chunk, and neither side knows",
            Side::Bureau,
            bureau("caught up", "open").map(|mut page| {
                (page["lanes"]["a.f"]["epoch"], page["lanes"]["a.f"]["number"]) = (1.into(), 9.into());
                page
            }),
            |_, _| {},
            State::Flowing,
            "",
        ),
        (
            "the exchange lost the agent's last chunk, which is not proven",
            Side::Bureau,
            bureau("caught up", "open").map(|mut page| {
                page["lanes"]["a.f"]["state"] = "waiting for a replica that lags".into();
                page
            }),
            |_, _| {},
            State::Behind,
            "or the exchange was restored",
        ),
        (
            "stopped at the receiver",
            Side::Bureau,
            bureau("caught up", "open"),
            |_, lane| lane.receipt.as_mut().unwrap().stopped = Some("exchange restored or rewritten".into()),
            State::Stopped,
            "at the receiver: exchange restored",
        ),
        (
            "stopped at both sides, seen by the bureau",
            Side::Bureau,
            bureau("reading", "open"),
            |facts, lane| {
                let receipt = lane.receipt.as_mut().unwrap();
                (receipt.stopped, receipt.is_behind) = (Some("the store is behind".into()), true);
                let page = facts.agent.page.as_mut().unwrap();
                page["lanes"]["a.f"] = json!({ "stopped": true, "state": "exchange restored; open an epoch" });
            },
            State::Stopped,
            "at the receiver: the store is behind; at the bureau: exchange restored",
        ),
        (
            "stopped at the bureau, seen there",
            Side::Bureau,
            bureau("reading", "open"),
            |facts, _| {
                let page = facts.agent.page.as_mut().unwrap();
                page["lanes"]["a.f"] = json!({ "stopped": true, "state": "definition changed; accept it" });
            },
            State::Stopped,
            "at the bureau: definition changed",
        ),
        (
            "stopped at the bureau, seen by the insurer",
            Side::Insurer,
            insurer(),
            |_, lane| lane.bureau_notice = Some("stopped: the feed's definition changed".into()),
            State::Stopped,
            "at the bureau",
        ),
        (
            "another definition, and no agent runs",
            Side::Bureau,
            None,
            |_, lane| lane.changed = Some("feed definition changed: key [a] is now [b]; accept it".into()),
            State::Stopped,
            "key [a] is now [b]",
        ),
        (
            "stopped at the bureau, and the store is behind",
            Side::Insurer,
            insurer().map(|mut page| {
                page["lanes"]["a.f"]["unverified"] =
                    json!({ "store_behind": { "detail": "the store lacks chunks", "remedy": "refill" } });
                page
            }),
            |_, lane| lane.bureau_notice = Some("stopped: the source went back".into()),
            State::Stopped,
            "at the bureau: the source went back; at this side: the store lacks chunks",
        ),
        (
            "held, seen by the insurer",
            Side::Insurer,
            insurer(),
            |_, lane| lane.bureau_notice = Some("held by the bureau".into()),
            State::Held,
            "held by the bureau",
        ),
        (
            "held by order, and no agent runs",
            Side::Bureau,
            None,
            |facts, _| {
                facts.orders.push(Order {
                    id: "h1".into(),
                    scope: "hold.h1".into(),
                    action: AnyAction::Known(Action::Hold(Hold {
                        recipients: vec!["a".parse().unwrap()],
                        feeds: Vec::new(),
                        person: None,
                    })),
                    actor: "li.na".into(),
                    reason: "why".into(),
                    given_at: at(0),
                    expires: None,
                });
            },
            State::Held,
            "hold h1 by li.na: why",
        ),
        (
            "no agent",
            Side::Bureau,
            None,
            |_, _| {},
            State::NotRunning,
            "127.0.0.1:1",
        ),
        (
            "no agent there",
            Side::Insurer,
            None,
            |_, _| {},
            State::NotRunning,
            "127.0.0.1:1",
        ),
        (
            "another agent holds the lease",
            Side::Bureau,
            None,
            |facts, _| {
                facts.lease = Some(LeaseFacts {
                    holder: "h".into(),
                    released: false,
                    age_s: 1,
                    ttl_ms: 3_000,
                });
            },
            State::CaughtUp,
            "",
        ),
        (
            "the exchange is unreachable",
            Side::Bureau,
            bureau("reading", "open"),
            |facts, _| facts.exchange.error = Some("no".into()),
            State::Unknown,
            "exchange",
        ),
        (
            "the source is unreachable",
            Side::Bureau,
            bureau("waiting for the source", "open"),
            |_, _| {},
            State::Behind,
            "source",
        ),
        (
            "the store is unreachable",
            Side::Insurer,
            Some(
                json!({ "lanes": {}, "exchange": { "state": "connected" }, "last_error": "the store cannot be used" }),
            ),
            |_, _| {},
            State::Behind,
            "the store cannot be used",
        ),
        (
            "stopped where another agent of the bureau works",
            Side::Bureau,
            Some(json!({ "lease": { "held": false } })),
            |_, lane| lane.bureau_notice = Some("stopped: the feed's definition changed".into()),
            State::Stopped,
            "at the bureau: the feed's",
        ),
        (
            "an old notice, and the agent here knows better",
            Side::Bureau,
            bureau("caught up", "open").map(|mut page| {
                page["lease"] = json!({ "held": true });
                page
            }),
            |_, lane| lane.bureau_notice = Some("stopped: the feed's definition changed".into()),
            State::CaughtUp,
            "",
        ),
        (
            "a chunk that was dropped at the exchange",
            Side::Insurer,
            Some(json!({ "lanes": { "a.f": { "missing":
                { "epoch": 1, "number": 5, "since": at(NOW - 61).to_string() } } } })),
            |_, _| {},
            State::Stopped,
            "number 5 of epoch 1 is missing for 1 min",
        ),
        (
            "a chunk that another poller has in hand",
            Side::Insurer,
            Some(json!({ "lanes": { "a.f": { "missing":
                { "epoch": 1, "number": 5, "since": at(NOW - 9).to_string() } } } })),
            |_, _| {},
            State::CaughtUp,
            "",
        ),
        (
            "a check of the feed failed",
            Side::Bureau,
            bureau("caught up", "open").map(|mut page| {
                page["feeds"]["f"]["unverified"] =
                    json!({ "clock_behind": { "detail": "the source's clock is 20 s behind", "remedy": "set it" } });
                page
            }),
            |_, _| {},
            State::Unverified,
            "20 s behind",
        ),
        (
            "a check of the lane failed at the receiver",
            Side::Insurer,
            insurer().map(|mut page| {
                page["lanes"]["a.f"]["unverified"] =
                    json!({ "store_behind": { "detail": "the store lacks chunks", "remedy": "refill" } });
                page
            }),
            |_, _| {},
            State::Unverified,
            "lacks chunks",
        ),
        (
            "a resynchronisation is under way",
            Side::Bureau,
            bureau("caught up", "open"),
            |_, lane| lane.chunk.as_mut().unwrap().is_resync = true,
            State::Unverified,
            "sent again from its start",
        ),
        (
            "a check failed at the bureau, seen by the insurer",
            Side::Insurer,
            insurer(),
            |_, lane| lane.bureau_notice = Some("unverified: clock_behind".into()),
            State::Unverified,
            "at the bureau: clock_behind",
        ),
        (
            "the bureau's core is busy, seen by the insurer",
            Side::Insurer,
            insurer(),
            |_, lane| lane.bureau_notice = Some("waiting: the bureau's core is busy".into()),
            State::WaitingForSlack,
            "core is busy",
        ),
        (
            "cut off",
            Side::Insurer,
            Some(json!({ "lanes": {}, "exchange": { "state": "disconnected" } })),
            |_, _| {},
            State::Behind,
            "disconnected",
        ),
    ];
    for (name, side, page, change, state, why) in table {
        let (mut facts, mut lane) = (facts(side, page), lane());
        change(&mut facts, &mut lane);
        let judged = judge_lane(&facts, &lane);
        assert_eq!(judged.state, state, "{name}: {judged:?}");
        assert!(judged.why.contains(why), "{name}: {judged:?}");
        assert!(
            state.is_well() || !judged.remedy.is_empty(),
            "{name}: nothing to do? {judged:?}"
        );
    }
}

#[test]
fn lag_counts_within_an_epoch_and_is_never_negative() {
    let lags = |epoch, to| {
        let mut lane = lane();
        let receipt = lane.receipt.as_mut().unwrap();
        (receipt.epoch, receipt.to) = (epoch, to);
        lag(&lane, at(NOW)).0
    };
    assert_eq!(
        [lags(1, 7), lags(1, 5), lags(1, 9), lags(2, 1)],
        [Some(0), Some(2), Some(0), Some(0)]
    );
    let mut none = lane();
    none.receipt = None;
    assert_eq!(lag(&none, at(NOW)), (Some(7), Some(3_600)));
}
