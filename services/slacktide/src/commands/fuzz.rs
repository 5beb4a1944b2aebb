//! Fuzz test: hostile text in every field of every message, through every renderer. No output contains a raw character
//! that acts on a terminal.

use audit::verify::{Fault, Findings};
use disclosure::mask::Mask;
use jiff::Timestamp;
use proptest::prelude::*;
use schemas::approval::Approval;
use schemas::audit::AuditEntry;
use schemas::confirm::Confirm;
use schemas::control::Control;
use schemas::cursor::Scalar;
use schemas::lease::Lease;
use schemas::manifest::{Manifest, OutstandingRows};
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
use store::requests::{RequestState, RequestSummary};

use super::status::facts::{
    AgentFacts, ChunkFacts, ExchangeFacts, Facts, LaneFacts, LeaseFacts, ReceiptFacts, Side,
};
use super::{approvals, audit as audits, feed, gate, hold, issued_order, quarantine, request, status};
use crate::failure::Failure;
use crate::output::{Line, Report, View, rendered_json};
use crate::settings::feed::FeedTable;

/// Returns a fixture's message with the hostile text in every field that accepts it.
fn inject<T: DeserializeOwned>(fixture: &str, hostile: &str) -> T {
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    let mut message = fixture["payload"].clone();
    let pointers = string_pointers(&message, "");
    let mut changed = 0;
    for pointer in pointers {
        let text = message.pointer_mut(&pointer).unwrap();
        let before = std::mem::replace(text, hostile.into());
        if serde_json::from_value::<T>(message.clone()).is_ok() {
            changed += 1;
        } else {
            *message.pointer_mut(&pointer).unwrap() = before;
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

/// Replaces every string of a JSON value.
fn inject_value(mut value: Value, hostile: &str) -> Value {
    for pointer in string_pointers(&value, "") {
        *value.pointer_mut(&pointer).unwrap() = hostile.into();
    }
    value
}

/// Returns the JSON pointers of all strings.
fn string_pointers(value: &Value, at: &str) -> Vec<String> {
    let inner = |key: &str, inner: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        string_pointers(inner, &format!("{at}/{key}"))
    };
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Array(all) => all
            .iter()
            .enumerate()
            .flat_map(|(index, one)| inner(&index.to_string(), one))
            .collect(),
        Value::Object(all) => all.iter().flat_map(|(key, one)| inner(key, one)).collect(),
        _ => Vec::new(),
    }
}

/// Collected output, as it goes to a terminal.
#[derive(Default)]
struct Output(Vec<(&'static str, String)>);

impl Output {
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

    /// Both forms of the value of a command, on a terminal and in a pipe.
    fn report(&mut self, by: &'static str, value: &impl Report) {
        self.json(by, value);
        self.view(by, &value.view());
    }

    fn view(&mut self, by: &'static str, view: &View) {
        for width in [None, Some(80), Some(20)] {
            self.lines(by, view.render(width));
        }
    }

    fn json(&mut self, by: &'static str, value: &impl Serialize) {
        let (text, value) = (rendered_json(value), serde_json::to_value(value).unwrap());
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

fn requests(shown: &mut Output, hostile: &str) {
    let mut request: Request = inject(fixture!("request-keyed"), hostile);
    request
        .arguments
        .insert(hostile.to_owned(), Scalar::Text(hostile.to_owned()));
    let approval: Approval = inject(fixture!("approval"), hostile);
    let item = approvals::ApprovalItem::new(
        &request,
        Timestamp::UNIX_EPOCH,
        std::slice::from_ref(&approval),
        (1, 2),
        true,
    );
    shown.report("approvals list", &approvals::ApprovalList { items: vec![item] });
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
        cancel_requested_at: None,
        overdue: true,
        withheld: 1,
        inconsistencies: Vec::new(),
    };
    shown.report(
        "request show",
        &request::show::RequestReport::new(&request.id, &request, &status, true),
    );
    let listed = RequestSummary {
        id: request.id.clone(),
        kind: request.kind.clone(),
        idempotency: request.idempotency.clone(),
        filed_by: request.filed_by.clone(),
        filed_at: request.filed_at,
        deadline: None,
        state: RequestState::Filed,
        exchanged_at: None,
        reply: None,
        reason: Some(reason()),
    };
    shown.report("request list", &request::list::RequestList::new(&[listed]));
    let rows = [
        vec![Cell::Text(reason()), Cell::Null],
        vec![Cell::Int(1), Cell::Bytes(hostile.into())],
    ];
    let table = request::result::table(&["a", hostile], &rows).unwrap();
    let mut result = View::new();
    result.table(table);
    shown.view("request result", &result);
}

fn orders(shown: &mut Output, hostile: &str) -> Control {
    let control: Control = inject(fixture!("control"), hostile);
    for order in control.orders.iter().chain([&control.newest]) {
        shown.lines("hold list", [hold::render::sentence(order)]);
        shown.lines("gate order", [issued_order::sentence(order)]);
    }
    let page = inject_value(gate::render::sample(), hostile);
    shown.view("gate watch", &gate::screen::render(&page));
    shown.view("gate watch", &gate::screen::history(&page, None, 8));
    shown.lines("gate watch", [gate::screen::line(&page)]);
    shown.lines("gate explain", gate::explain::sentences(&page));
    shown.report("gate watch", &gate::watch::GateReport::new(&Ok(page)));
    control
}

/// `status` and `feed show`, with hostile text in every fact.
fn status(shown: &mut Output, control: &Control, hostile: &str) {
    let manifest: Manifest = inject(fixture!("chunk"), hostile);
    let receipt: Receipt = inject(fixture!("receipt"), hostile);
    let lease: Lease = inject(fixture!("lease"), hostile);
    let now = Timestamp::UNIX_EPOCH;
    let mut chunk = ChunkFacts::of(manifest.clone(), now);
    let outstanding = OutstandingRows {
        epoch: 1,
        number: 1,
        continues: None,
        cursor: None,
        rows: 1,
    };
    chunk.outstanding.insert(hostile.to_owned(), outstanding);
    let mut stopped = ReceiptFacts::of(receipt, now);
    stopped.stopped = Some(hostile.to_owned());
    let lane = LaneFacts {
        recipient: manifest.recipient.clone(),
        feed: manifest.feed.clone(),
        definition: Some(manifest.content.definition),
        changed: Some(format!("changed: {hostile}; {hostile}")),
        chunk: Some(chunk),
        receipt: Some(stopped),
        bureau_notice: Some(format!("held: {hostile}")),
        error: Some(hostile.to_owned()),
    };
    let name = lane.lane().to_string();
    let page = json!({
        "state": "running", "last_error": "e", "unsettled": "u", "lease": { "held": true },
        "gate": { "state": "closed", "reason": "r" },
        "requests": { "waiting": 1, "last_error": "e" },
        "blocklist": { "persons": 1, "made": "2026-01-31", "error": "t" },
        "quarantine": { (name.clone()): { "row": { "count": 2 } } },
        "lanes": { (name): { "state": "ready", "stopped": false, "held": "h", "pending_change": "w" } },
        "feeds": { (lane.feed.as_str()): { "state": "s", "caught_up_at": "c" } },
    });
    for error in [None, Some(hostile.to_owned())] {
        for side in [Side::Bureau, Side::Insurer, Side::Other] {
            let facts = Facts {
                side,
                user: hostile.to_owned(),
                at: now,
                exchange: ExchangeFacts {
                    error: error.clone(),
                    ..ExchangeFacts::default()
                },
                agent: AgentFacts {
                    address: Some(hostile.to_owned()),
                    page: Some(inject_value(page.clone(), hostile)),
                },
                lease: Some(LeaseFacts {
                    holder: lease.holder.clone(),
                    released: false,
                    age_s: 0,
                    ttl_ms: 1,
                }),
                orders: control.orders.clone(),
                orders_error: Some(hostile.to_owned()),
                lanes: vec![lane.clone()],
            };
            let judged = status::judge::judge_all(&facts);
            shown.report("status", &status::report::StatusReport::new(&facts, &judged));
            let item = feed::show::item(&table(&lane, hostile), &facts, &judged);
            shown.report("feed show", &item);
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

fn others(shown: &mut Output, hostile: &str) {
    let ended = Ended {
        ending: Ending::Discarded,
        digest: Some(hostile.to_owned()),
        actor: hostile.to_owned(),
        reason: hostile.to_owned(),
        at: Timestamp::UNIX_EPOCH,
    };
    let line = quarantine::render::Line {
        id: hostile.to_owned(),
        lane: hostile.to_owned(),
        epoch: None,
        number: None,
        kind: "row",
        ordinal: None,
        sequence: 1,
        reason: hostile.to_owned(),
        since: Timestamp::UNIX_EPOCH.into(),
        state: "kept",
        bytes: 1,
        retry: None,
        ended: Some((&ended).into()),
    };
    let (side, content) = (quarantine::render::QuarantineSide::Insurer, json!(hostile));
    shown.report(
        "quarantine show",
        &quarantine::render::EntryReport::new(line.clone(), Some(content)),
    );
    shown.report(
        "quarantine list",
        &quarantine::render::EntryList::new(side, vec![line]),
    );
    let findings = Findings {
        lanes: [(hostile.to_owned(), Default::default())].into(),
        faults: vec![Fault {
            class: verification::FaultClass::Message,
            file: Some(hostile.to_owned()),
            record: Some(1),
            stream: hostile.to_owned(),
            subject: hostile.to_owned(),
            sequence: 1,
            chunk: None,
            what: hostile.to_owned(),
        }],
        not_covered: vec![hostile.to_owned()],
        ..Findings::default()
    };
    shown.report(
        "audit verify",
        &audits::report::VerifyReport::of_streams(&findings),
    );
    let mut found = crate::doctor::Findings::default();
    found.warn(hostile, hostile);
    found.fail(hostile, &Failure::usage(hostile).with([hostile.to_owned()]));
    found.grant(vec![hostile.to_owned()]);
    shown.report("doctor", &found);
    let failure = Failure::usage(hostile).with([hostile.to_owned()]);
    shown.lines("an error", [failure.what()]);
    shown.lines("an error", failure.more());
    // Messages without a renderer are printed as JSON by replay, show and list.
    shown.json("cancel", &inject::<Cancel>(fixture!("cancel"), hostile));
    shown.json("reply", &inject::<Reply>(fixture!("reply-refused"), hostile));
    shown.json("progress", &inject::<Progress>(fixture!("progress"), hostile));
    shown.json("part", &inject::<Part>(fixture!("part"), hostile));
    shown.json("confirm", &inject::<Confirm>(fixture!("confirm"), hostile));
    shown.json("audit entry", &inject::<AuditEntry>(fixture!("audit"), hostile));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn fuzz_output_shows_no_raw_control_character(
        text in any::<String>(),
        hidden in prop::sample::select(vec![
            "\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{9b}31m", "\r\n", "\t", "\0", "\u{7f}", "\u{85}", "\u{202e}", "\u{2066}",
            "\u{61c}", "\u{200f}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{2029}", "\u{e0041}", "\u{ad}", "\u{3164}",
        ]),
    ) {
        let hostile = format!("a{hidden}b {text}{hidden}");
        let mut shown = Output::default();
        requests(&mut shown, &hostile);
        let control = orders(&mut shown, &hostile);
        status(&mut shown, &control, &hostile);
        others(&mut shown, &hostile);
        prop_assert_eq!(shown.raw(), None);
    }
}
