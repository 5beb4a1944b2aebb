//! Every text of every message, hostile, through every renderer of the commands: nothing that is shown holds a raw
//! character that acts on a terminal.

use audit::verify::{Fault, Findings};
use jiff::Timestamp;
use proptest::prelude::*;
use requests::mask::Mask;
use schemas::approval::Approval;
use schemas::audit::AuditEntry;
use schemas::confirm::Confirm;
use schemas::control::Control;
use schemas::cursor::Scalar;
use schemas::lease::Lease;
use schemas::manifest::{HeldBack, Manifest};
use schemas::part::Part;
use schemas::progress::Progress;
use schemas::receipt::Receipt;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request};
use schemas::visible;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use slacktide_client::Cell;
use slacktide_client::status::{Clock, State, Status, Step};
use store::quarantine::{Ended, Ending};
use store::requests::{Listed, Standing};

use super::status::facts::{
    AgentFacts, ChunkFacts, ExchangeFacts, Facts, LaneFacts, LeaseFacts, ReceiptFacts, Side,
};
use super::{approvals, audit as audits, feed, gate, hold, quarantine, request, status};
use crate::failure::Failure;
use crate::output::{Line, json_text};
use crate::settings::feed::FeedTable;

/// The message of a fixture, with a hostile text in every field that takes one.
fn planted<T: DeserializeOwned>(fixture: &str, hostile: &str) -> T {
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let mut message = fixture["payload"].clone();
    let places = places(&message, "");
    let mut changed = 0;
    for place in places {
        let text = message.pointer_mut(&place).unwrap();
        let before = std::mem::replace(text, hostile.into());
        if serde_json::from_value::<T>(message.clone()).is_ok() {
            changed += 1;
        } else {
            *message.pointer_mut(&place).unwrap() = before;
        }
    }
    let has_none = std::any::type_name::<T>().ends_with("Confirm");
    assert!(
        changed > 0 || has_none,
        "no text of {} was changed",
        std::any::type_name::<T>()
    );
    serde_json::from_value(message).unwrap()
}

/// The same for a value of any form.
fn planted_value(mut value: Value, hostile: &str) -> Value {
    for place in places(&value, "") {
        *value.pointer_mut(&place).unwrap() = hostile.into();
    }
    value
}

/// Pointers to every text.
fn places(value: &Value, at: &str) -> Vec<String> {
    let inner = |key: &str, inner: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        places(inner, &format!("{at}/{key}"))
    };
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Array(all) => all
            .iter()
            .enumerate()
            .flat_map(|(place, one)| inner(&place.to_string(), one))
            .collect(),
        Value::Object(all) => all.iter().flat_map(|(key, one)| inner(key, one)).collect(),
        _ => Vec::new(),
    }
}

/// Whatever goes to a terminal, as it goes there.
#[derive(Default)]
struct Shown(Vec<(&'static str, String)>);

impl Shown {
    fn lines<I>(&mut self, by: &'static str, lines: I)
    where
        I: IntoIterator,
        I::Item: Into<Line>,
    {
        let mut empty = true;
        for line in lines {
            empty = false;
            self.0.push((by, Line::render(&line.into(), true)));
        }
        assert!(!empty, "{by} shows nothing");
    }

    fn json(&mut self, by: &'static str, value: &impl Serialize) {
        let (text, value) = (json_text(value), serde_json::to_value(value).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{by}");
        self.0.extend(text.lines().map(|line| (by, line.to_owned())));
    }

    /// Our own styles are the only escape sequences.
    fn raw(&self) -> Option<(&'static str, String)> {
        let own = ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"];
        let hidden = |line: &str| {
            let plain = own
                .iter()
                .fold(line.to_owned(), |line, style| line.replace(style, ""));
            !plain.chars().all(visible::is_visible)
        };
        self.0.iter().find(|(_, line)| hidden(line)).cloned()
    }
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../schemas/fixtures/v1/", $name, ".json"))
    };
}

fn requests(shown: &mut Shown, hostile: &str) {
    let mut asked: Request = planted(fixture!("request-keyed"), hostile);
    asked
        .arguments
        .insert(hostile.to_owned(), Scalar::Text(hostile.to_owned()));
    let said: Approval = planted(fixture!("approval"), hostile);
    let waits = approvals::line(
        &asked,
        Timestamp::UNIX_EPOCH,
        std::slice::from_ref(&said),
        (1, 2),
        true,
    );
    shown.lines("approvals list", approvals::words(&waits));
    shown.json("approvals list", &waits);
    let reason = || hostile.to_owned();
    let states = [
        State::Held { reason: reason() },
        State::Failed { reason: reason() },
        State::Partial {
            rows: 1,
            reason: reason(),
        },
        State::Refused {
            code: schemas::refusal::RefusalCode::Other(reason()),
            reason: reason(),
            retry_at: None,
        },
    ];
    let steps = states.map(|state| Step {
        state,
        at: Timestamp::UNIX_EPOCH,
        clock: Clock::Exchange,
    });
    let status = Status {
        steps: steps.to_vec(),
        place: Some(1),
        forecast: None,
        cancel_asked: None,
        overdue: true,
        withheld: 1,
        doubts: Vec::new(),
    };
    shown.lines(
        "request show",
        request::told::status(&asked.id, &asked, &status, true),
    );
    shown.json("request show", &status);
    let listed = Listed {
        id: asked.id.clone(),
        kind: asked.kind.clone(),
        idempotency: asked.idempotency.clone(),
        filed_by: asked.filed_by.clone(),
        filed_at: asked.filed_at,
        deadline: None,
        standing: Standing::Filed,
        exchanged_at: None,
        reply: None,
        reason: Some(reason()),
    };
    shown.lines("request list", request::list::table(&[listed], Some(80)));
    let rows = [
        vec![Cell::Text(reason()), Cell::Null],
        vec![Cell::Int(1), Cell::Bytes(hostile.into())],
    ];
    shown.lines("request result", request::result::table(&["a", hostile], &rows));
}

fn orders(shown: &mut Shown, hostile: &str) -> Control {
    let control: Control = planted(fixture!("control"), hostile);
    for order in control.orders.iter().chain([&control.newest]) {
        shown.lines("hold list", [hold::told::sentence(order)]);
        shown.lines("gate order", [gate::order::sentence(order)]);
    }
    let page = planted_value(gate::told::sample(), hostile);
    shown.lines("gate watch", gate::screen::render(&page, 100));
    shown.lines("gate watch", [gate::screen::line(&page)]);
    shown.lines("gate explain", gate::explain::sentences(&page));
    shown.json("gate watch", &page);
    control
}

/// Status and feed show, with every fact hostile that is a text.
fn status(shown: &mut Shown, control: &Control, hostile: &str) {
    let manifest: Manifest = planted(fixture!("chunk"), hostile);
    let receipt: Receipt = planted(fixture!("receipt"), hostile);
    let lease: Lease = planted(fixture!("lease"), hostile);
    let now = Timestamp::UNIX_EPOCH;
    let mut chunk = ChunkFacts::of(manifest.clone(), now);
    let back = HeldBack {
        epoch: 1,
        number: 1,
        continues: None,
        cursor: None,
        rows: 1,
    };
    chunk.held_back.insert(hostile.to_owned(), back);
    let mut stopped = ReceiptFacts::of(receipt, now);
    stopped.stopped = Some(hostile.to_owned());
    let lane = LaneFacts {
        recipient: manifest.recipient.clone(),
        feed: manifest.feed.clone(),
        definition: Some(manifest.definition),
        changed: Some(format!("changed: {hostile}; {hostile}")),
        chunk: Some(chunk),
        receipt: Some(stopped),
        bureau_says: Some(format!("held: {hostile}")),
        trouble: Some(hostile.to_owned()),
    };
    let name = lane.lane().to_string();
    let page = json!({
        "state": "running", "last_error": "e", "unsettled": "u", "lease": { "held": true },
        "gate": { "state": "shut", "reason": "r" },
        "requests": { "waiting": 1, "last_error": "e" },
        "blocklist": { "persons": 1, "made": "2026-01-31", "trouble": "t" },
        "held": { (name.clone()): { "row": { "count": 2 } } },
        "lanes": { (name): { "state": "ready", "stopped": false, "held": "h", "waits": "w" } },
        "feeds": { (lane.feed.as_str()): { "state": "s", "caught_up_at": "c" } },
    });
    for trouble in [None, Some(hostile.to_owned())] {
        for side in [Side::Bureau, Side::Insurer, Side::Other] {
            let facts = Facts {
                side,
                user: hostile.to_owned(),
                at: now,
                exchange: ExchangeFacts {
                    trouble: trouble.clone(),
                    ..ExchangeFacts::default()
                },
                agent: AgentFacts {
                    address: Some(hostile.to_owned()),
                    page: Some(planted_value(page.clone(), hostile)),
                },
                lease: Some(LeaseFacts {
                    holder: lease.holder.clone(),
                    released: false,
                    age_s: 0,
                    ttl_ms: 1,
                }),
                orders: control.orders.clone(),
                orders_trouble: Some(hostile.to_owned()),
                lanes: vec![lane.clone()],
            };
            let judged = status::judge::all(&facts);
            shown.lines("status", status::screen::lines(&facts, &judged, 100));
            shown.json("status", &status::screen::json(&facts, &judged));
            shown.lines(
                "feed show",
                feed::show::lines(&table(&lane, hostile), &facts, &judged),
            );
        }
    }
}

fn table(lane: &LaneFacts, hostile: &str) -> FeedTable {
    let mut table: FeedTable = toml::from_str(&format!(
        "name = \"{}\"\nsql = \"SELECT 1\"\ncursor = [\"a\"]\ncursor_set_by = \"transaction\"\nkey = [\"a\"]\n\
         recipients = [\"{}\"]\n",
        lane.feed, lane.recipient
    ))
    .unwrap();
    table
        .masks
        .entry(lane.recipient.clone())
        .or_default()
        .insert(hostile.to_owned(), Mask::Token);
    table.person = Some(hostile.to_owned());
    table
}

fn others(shown: &mut Shown, hostile: &str) {
    let ended = Ended {
        how: Ending::Discarded,
        digest: Some(hostile.to_owned()),
        actor: hostile.to_owned(),
        reason: hostile.to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let line = quarantine::told::Line {
        id: hostile.to_owned(),
        lane: hostile.to_owned(),
        epoch: None,
        number: None,
        kind: "row",
        ordinal: None,
        sequence: 1,
        reason: hostile.to_owned(),
        since: Timestamp::UNIX_EPOCH,
        state: "kept",
        bytes: 1,
        retry: None,
        ended: Some(ended),
    };
    shown.lines("quarantine show", quarantine::told::shown(&line));
    shown.json("quarantine list", &line);
    shown.lines("quarantine list", quarantine::told::table(&[line]));
    let findings = Findings {
        lanes: [(hostile.to_owned(), Default::default())].into(),
        faults: vec![Fault {
            subject: hostile.to_owned(),
            sequence: 1,
            chunk: None,
            what: hostile.to_owned(),
        }],
        ..Findings::default()
    };
    shown.lines("audit verify", audits::lines(&findings));
    shown.json("audit verify", &findings);
    let mut found = crate::doctor::Findings::default();
    found.warn(hostile, hostile);
    found.fail(hostile, &Failure::usage(hostile).with([hostile.to_owned()]));
    found.grant(vec![hostile.to_owned()]);
    shown.lines("doctor", found.lines());
    let failure = Failure::usage(hostile).with([hostile.to_owned()]);
    shown.lines("an error", [failure.what()]);
    shown.lines("an error", failure.more());
    // What has no renderer of its own is shown as JSON: replay, show, list.
    shown.json("cancel", &planted::<Cancel>(fixture!("cancel"), hostile));
    shown.json("reply", &planted::<Reply>(fixture!("reply-refused"), hostile));
    shown.json("progress", &planted::<Progress>(fixture!("progress"), hostile));
    shown.json("part", &planted::<Part>(fixture!("part"), hostile));
    shown.json("confirm", &planted::<Confirm>(fixture!("confirm"), hostile));
    shown.json("audit entry", &planted::<AuditEntry>(fixture!("audit"), hostile));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn screen_shows_no_raw_character_of_any_message(
        text in any::<String>(),
        hidden in prop::sample::select(vec![
            "\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{9b}31m", "\r\n", "\t", "\0", "\u{7f}", "\u{85}", "\u{202e}", "\u{2066}",
            "\u{61c}", "\u{200f}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{2029}", "\u{e0041}", "\u{ad}", "\u{3164}",
        ]),
    ) {
        let hostile = format!("a{hidden}b {text}{hidden}");
        let mut shown = Shown::default();
        requests(&mut shown, &hostile);
        let control = orders(&mut shown, &hostile);
        status(&mut shown, &control, &hostile);
        others(&mut shown, &hostile);
        prop_assert_eq!(shown.raw(), None);
    }
}
