use std::sync::LazyLock;

use proptest::prelude::*;
use schemas::approval::Decision;
use schemas::control::{Action, AnyAction, Hold};
use schemas::cursor::Scalar;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;

use super::*;
use crate::sample::{self, PERSON, at};
use disclosure::blocklist::BlockList;

/// An admissible request with all its rules.
struct Case {
    kinds: Kinds,
    request: Request,
    recipient: RecipientName,
    list: BlockList,
    orders: Option<Vec<Order>>,
    quota: Option<(Quota, History)>,
    cancelled: bool,
    approvals: Vec<Approval>,
    now: Timestamp,
}

static PERSONS: LazyLock<PersonKey> = LazyLock::new(|| PersonKey::of(&SigningKey::generate()).unwrap());

fn blocked(persons: &[&str]) -> BlockList {
    let digests = persons
        .iter()
        .map(|person| PERSONS.token(person).digest)
        .collect();
    BlockList::new(jiff::civil::date(2026, 1, 1), &PERSONS, digests)
}

fn order(hold: Hold) -> Order {
    Order {
        id: "h7".to_owned(),
        scope: "hold.h7".to_owned(),
        action: AnyAction::Known(Action::Hold(hold)),
        actor: "sun".to_owned(),
        reason: "a secret matter".to_owned(),
        given_at: at(0),
        expires: None,
    }
}

fn hold_of(recipients: &[&str], feeds: &[&str], person: Option<&str>) -> Hold {
    Hold {
        recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
        feeds: feeds.iter().map(|name| name.parse().unwrap()).collect(),
        person: person.map(|person| PERSONS.token(person)),
    }
}

fn case() -> Case {
    let grants = ["li", "wang"].map(|officer| sample::approval(officer, Decision::Grant));
    Case {
        kinds: sample::kinds(sample::KIND).unwrap(),
        request: sample::request(),
        recipient: sample::request().recipient,
        list: blocked(&["another person"]),
        orders: Some(Vec::new()),
        quota: None,
        cancelled: false,
        approvals: grants.to_vec(),
        now: at(10),
    }
}

impl Case {
    fn evaluate<R>(&self, then: impl FnOnce(Admission<'_>) -> R) -> R {
        let filed = FiledRequest {
            recipient: &self.recipient,
            id: &self.request.id,
            request: &self.request,
            digest: sample::digest(),
            place: StreamPosition {
                sequence: 7,
                stored_at: at(0),
            },
            cancelled: self.cancelled,
            approvals: &self.approvals,
        };
        let rules = Rules {
            kinds: &self.kinds,
            blocked: self.list.with_key(&PERSONS).unwrap(),
            orders: self.orders.as_deref(),
            quota: self.quota.as_ref().map(|(quota, history)| (quota, history)),
            retention_days: 30,
            now: self.now,
        };
        then(evaluate(&filed, &rules))
    }

    fn code(&self) -> String {
        self.evaluate(|admission| match admission {
            Admission::Admitted(_) => "admitted".to_owned(),
            Admission::WaitsForApproval { granted, needed } => format!("waits {granted} of {needed}"),
            Admission::Held { reason } => format!("held: {reason}"),
            Admission::Refused(refusal) => {
                assert!(!format!("{refusal:?}").contains(PERSON));
                refusal.code.to_string()
            }
            Admission::Expired => "expired".to_owned(),
            Admission::Cancelled => "cancelled".to_owned(),
        })
    }

    fn argument(&mut self, name: &str, value: &str) {
        let value = Scalar::Text(value.to_owned());
        self.request.arguments.insert(name.to_owned(), value);
    }
}

fn code(change: impl FnOnce(&mut Case)) -> String {
    let mut case = case();
    change(&mut case);
    case.code()
}

#[test]
fn admission_valid_request_is_admitted_with_its_settings() {
    case().evaluate(|admission| {
        let Admission::Admitted(admitted) = admission else {
            panic!("{admission:?}")
        };
        assert_eq!(admitted.bound[0], Bound::Text(PERSON.to_owned()));
        assert_eq!((admitted.max_rows, admitted.limited_by), (100, RowLimit::Kind));
        assert_eq!(admitted.granted_by.len(), 2);
        assert!(!format!("{:?}", admitted.bound).contains(PERSON));
    });
}

#[test]
fn admission_rule_refuses_with_its_own_code() {
    assert_eq!(code(|_| ()), "admitted");
    assert_eq!(code(|c| c.recipient = "insurer-b".parse().unwrap()), "malformed");
    assert_eq!(code(|c| c.request.idempotency = Some("k".into())), "malformed");
    let id = |text: &str| text.parse::<RequestId>().unwrap();
    assert_eq!(code(|c| c.request.id = id("20260202-abcdefgh")), "malformed");
    assert_eq!(code(|c| c.request.id = id("20251230-abcdefgh")), "too_old");
    assert_eq!(code(|c| c.request.kind = "setl.all".into()), "unknown_kind");
    // A kind removed while requests wait.
    assert_eq!(code(|c| c.kinds = Kinds::default()), "unknown_kind");
    let other = |c: &mut Case| {
        c.recipient = "insurer-b".parse().unwrap();
        c.request.recipient = c.recipient.clone();
    };
    assert_eq!(code(other), "not_permitted");
    assert_eq!(code(|c| c.request.purpose = "02".into()), "no_basis");
    assert_eq!(code(|c| c.request.basis = "03".into()), "no_basis");
    assert_eq!(code(|c| c.request.basis = String::new()), "no_basis");
    assert_eq!(code(|c| c.argument("psn_no", "")), "bad_argument");
    assert_eq!(code(|c| c.argument("drop", "x")), "bad_argument");
    assert_eq!(code(|c| c.argument("from", "yesterday")), "bad_argument");
    assert_eq!(code(|c| c.argument("from", "2026-02-01")), "bad_argument");
    assert_eq!(code(|c| c.argument("from", "2025-01-30")), "too_broad");
    assert_eq!(code(|c| c.argument("from", "2025-01-31")), "admitted");
    assert_eq!(code(|c| c.list = blocked(&[PERSON])), "blocked");
    let refused = sample::approval("zhao", Decision::Refuse);
    assert_eq!(code(|c| c.approvals.push(refused)), "not_approved");
    let late = |c: &mut Case| {
        c.approvals.clear();
        c.now = at(2 * 86_400);
    };
    assert_eq!(code(late), "not_approved");
    assert_eq!(code(|c| c.approvals.truncate(1)), "waits 1 of 2");
    assert_eq!(code(|c| c.cancelled = true), "cancelled");
    assert_eq!(code(|c| c.request.deadline = Some(at(10))), "expired");
    assert_eq!(code(|c| c.request.deadline = Some(at(11))), "admitted");
}

/// Returns a change for every text of a JSON value, which replaces it. Map keys are texts as well; names of the value's own fields
/// are not.
fn with_text_anywhere(value: &serde_json::Value, text: &str, renames: bool) -> Vec<serde_json::Value> {
    match value {
        serde_json::Value::String(_) => vec![text.into()],
        serde_json::Value::Object(object) => object
            .iter()
            .flat_map(|(key, inner)| {
                let changed = with_text_anywhere(inner, text, true).into_iter();
                let changed = changed.map(move |inner| (key.clone(), inner));
                let renamed = renames.then(|| (text.to_owned(), inner.clone()));
                changed.chain(renamed).map(move |(new, inner)| {
                    let mut object = object.clone();
                    if new != *key {
                        object.remove(key);
                    }
                    object.insert(new, inner);
                    object.into()
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Covers all fields: one that is added later is included.
#[test]
fn admission_hidden_character_in_any_text_is_refused() {
    let written = serde_json::to_value(sample::request()).unwrap();
    for hidden in [
        '\u{1b}',
        '\n',
        '\u{7f}',
        '\u{9b}',
        '\u{202e}',
        '\u{200b}',
        '\u{2028}',
        '\u{e0041}',
    ] {
        let mut changed = 0;
        for request in with_text_anywhere(&written, &format!("a{hidden}b"), false) {
            let Ok(request) = serde_json::from_value::<Request>(request) else {
                continue;
            };
            changed += 1;
            let id = request.id.clone();
            case_of(request).evaluate(|admission| {
                let Admission::Refused(refusal) = admission else {
                    panic!("{hidden:?} in {id}: {admission:?}")
                };
                assert_eq!(refusal.code, RefusalCode::Malformed);
                assert!(refusal.reason.contains("invisible") && !refusal.reason.contains(hidden));
            });
        }
        // Kind, purpose, basis, filer, three values and three argument names, and the idempotency key.
        assert_eq!(changed, 10, "{hidden:?}");
    }
    assert_eq!(code(|c| c.request.filed_by = "\u{202e}".into()), "malformed");
}

fn case_of(request: Request) -> Case {
    Case { request, ..case() }
}

#[test]
fn hold_delays_and_reveals_only_its_id() {
    let held = |hold: Hold| code(|c| c.orders = Some(vec![order(hold)]));
    let waits = "held: hold h7 of the bureau";
    assert_eq!(held(hold_of(&[], &[], None)), waits);
    assert_eq!(held(hold_of(&["insurer-a"], &["setl"], None)), waits);
    assert_eq!(held(hold_of(&["insurer-b"], &[], None)), "admitted");
    assert_eq!(held(hold_of(&[], &["mdtrt"], None)), "admitted");
    assert_eq!(held(hold_of(&[], &[], Some(PERSON))), waits);
    assert_eq!(held(hold_of(&["insurer-b"], &[], Some(PERSON))), "admitted");
    let mut foreign = hold_of(&[], &[], Some("4711"));
    let other = PersonKey::of(&SigningKey::generate()).unwrap();
    foreign.person = Some(other.token("4711"));
    assert_eq!(held(foreign), waits);
    assert!(code(|c| c.orders = None).starts_with("held: "));
    // A kind without feeds may read any feed's rows.
    let any = sample::KIND.replacen("feeds = [\"setl\"]", "", 1);
    let unsaid = |c: &mut Case| {
        c.kinds = sample::kinds(&any).unwrap();
        c.orders = Some(vec![order(hold_of(&[], &["mdtrt"], None))]);
    };
    assert_eq!(code(unsaid), waits);
    let over = |c: &mut Case| {
        let mut order = order(hold_of(&[], &[], None));
        order.expires = Some(at(10));
        c.orders = Some(vec![order]);
    };
    assert_eq!(code(over), "admitted");
    // A hold of another person withholds their rows from this answer.
    let mut case = case();
    case.orders = Some(vec![order(hold_of(&[], &["setl"], Some("4712")))]);
    case.evaluate(|admission| {
        let Admission::Admitted(admitted) = admission else {
            panic!("{admission:?}")
        };
        let mark = PERSONS.token("4712").digest;
        assert_eq!(admitted.held_persons.get(&mark).map(String::as_str), Some("h7"));
    });
}

#[test]
fn admission_remaining_quota_limits_the_answer() {
    let mut history = History::default();
    let before = StreamPosition {
        sequence: 1,
        stored_at: at(0),
    };
    history.add_outcome(before, at(1), 90, true);
    let rows = |most| Quota {
        rows_a_day: Some(most),
        ..Quota::default()
    };
    let with = |most| {
        let mut case = case();
        case.quota = Some((rows(most), history.clone()));
        case
    };
    with(100).evaluate(|admission| {
        let Admission::Admitted(admitted) = admission else {
            panic!("{admission:?}")
        };
        assert_eq!((admitted.max_rows, admitted.limited_by), (10, RowLimit::Quota));
        assert!(admitted.limited_by.reason(10).contains("10 rows"));
    });
    with(90).evaluate(|admission| {
        let Admission::Refused(refusal) = admission else {
            panic!("{admission:?}")
        };
        assert_eq!(refusal.code, RefusalCode::Quota);
        assert!(refusal.retry_at.is_some_and(|retry| retry > at(10)));
    });
}

/// One change to a case, and whether it forbids an answer.
fn changes() -> impl Strategy<Value = (usize, String)> {
    (0_usize..16, "\\PC{0,12}")
}

fn apply(case: &mut Case, change: usize, text: &str) -> bool {
    match change {
        0 => {
            case.request.kind = format!("{text}?");
            true
        }
        1 => {
            case.request.purpose = format!("{text}?");
            true
        }
        2 => {
            case.request.basis = format!("{text}?");
            true
        }
        3 => {
            case.argument("from", &format!("{text}?"));
            true
        }
        4 => {
            case.argument(&format!("{text}?"), text);
            true
        }
        5 => case.request.arguments.remove("psn_no").is_some(),
        6 => {
            case.list = blocked(&[PERSON]);
            // The request may be about another person now.
            !case.request.arguments.contains_key("psn_no")
                || case.request.arguments.get("psn_no") == Some(&Scalar::Text(PERSON.to_owned()))
        }
        7 => {
            case.cancelled = true;
            true
        }
        8 => {
            case.request.deadline = Some(at(3));
            true
        }
        9 => {
            case.approvals.pop();
            true
        }
        10 => {
            case.approvals.push(sample::approval("zhao", Decision::Refuse));
            true
        }
        11 => {
            case.orders = None;
            true
        }
        12 => {
            case.orders = Some(vec![order(hold_of(&["insurer-a"], &[], None))]);
            true
        }
        13 => {
            case.argument("from", "1999-01-01");
            case.request.arguments.contains_key("from")
        }
        14 => {
            let quota = Quota {
                requests_an_hour: Some(0),
                ..Quota::default()
            };
            case.quota = Some((quota, History::default()));
            true
        }
        // Allowed: another purpose's second basis, a future deadline, another text.
        _ => {
            case.request.basis = "01".to_owned();
            false
        }
    }
}

proptest! {
    /// A request that one rule forbids is never admitted, with any other change, and one that no rule forbids is. Total: there is
    /// always one decision, and it contains no requested value.
    #[test]
    fn admission_forbidden_request_is_never_admitted(changed in prop::collection::vec(changes(), 0..5)) {
        let mut case = case();
        let mut forbidden = false;
        // A later change may revert an earlier one of the same field, so each field is changed once.
        let mut seen = std::collections::BTreeSet::new();
        for (change, text) in &changed {
            let field = match change { 2 | 15 => 2, 3 | 13 => 3, 9 | 10 => 9, 11 | 12 => 11, other => *other };
            if seen.insert(field) {
                forbidden |= apply(&mut case, *change, text);
            }
        }
        prop_assert_eq!(case.code() == "admitted", !forbidden);
    }

    /// Injection in every field that a recipient sets: a value, or a refusal that does not repeat it. Each text begins with characters
    /// that no refusal contains.
    #[test]
    fn admission_injection_stays_a_value(
        text in prop_oneof!["'; drop table [a-z]{4}; --", "\\$1 or [0-9]=[0-9]", "\u{2603}\\PC{5,29}"],
        place in 0_usize..6,
    ) {
        let mut case = case();
        match place {
            0 => case.argument("psn_no", &text),
            1 => case.argument("from", &text),
            2 => case.argument(&text, "x"),
            3 => case.request.kind = text.clone(),
            4 => case.request.purpose = text.clone(),
            _ => case.request.basis = text.clone(),
        }
        case.evaluate(|admission| match admission {
            Admission::Admitted(admitted) => {
                assert_eq!(place, 0);
                assert_eq!(admitted.bound[0], Bound::Text(text.clone()));
                assert_eq!(admitted.kind.config().sql, case.kinds.get("setl.by_person").unwrap().config().sql);
            }
            Admission::Refused(refusal) => assert!(!refusal.reason.contains(&text), "{refusal:?}"),
            other => panic!("{other:?}"),
        });
    }

    /// Any time and any id: one decision.
    #[test]
    fn admission_any_time_and_id_has_one_decision(second in -400_000_000_000_i64..260_000_000_000, id in "[0-9]{4}(0[1-9]|1[0-2])([01][1-9]|2[0-8])-[a-z0-9]{8,40}", days in any::<i32>()) {
        let mut case = case();
        if let (Ok(now), Ok(id)) = (Timestamp::from_second(second), id.parse()) {
            case.now = now;
            case.request.id = id;
            let filed = FiledRequest {
                recipient: &case.recipient, id: &case.request.id, request: &case.request, digest: sample::digest(),
                place: StreamPosition { sequence: u64::MAX, stored_at: Timestamp::MAX }, cancelled: false, approvals: &[],
            };
            let rules = Rules {
                kinds: &case.kinds, blocked: case.list.with_key(&PERSONS).unwrap(), orders: Some(&[]), quota: None,
                retention_days: days, now,
            };
            let _ = evaluate(&filed, &rules);
        }
    }
}
