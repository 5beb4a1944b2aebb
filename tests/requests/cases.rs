//! PURE: a mix of requests, each with its expected outcome.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::request_site::PERSONS;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// As many rows as the same SQL returns, zero included.
    Rows,
    Refused(&'static str),
}

/// A request to file.
#[derive(Debug, Clone)]
pub(crate) struct RequestCase {
    pub(crate) key: String,
    pub(crate) kind: &'static str,
    pub(crate) arguments: BTreeMap<&'static str, Value>,
    pub(crate) basis: &'static str,
    pub(crate) due: Due,
}

/// Returns the nth request of a recipient: most ask for a person's claims, some for a day's, few for all large ones; of every
/// twenty, some are not permitted.
pub(crate) fn request_case(n: u32, recipient: &str) -> RequestCase {
    let person = |number: u32| json!(format!("p{:06}", number % PERSONS));
    let whole = |person: Value| {
        BTreeMap::from([
            ("psn_no", person),
            ("from", json!("2026-01-01")),
            ("to", json!("2026-12-31")),
        ])
    };
    let (kind, arguments, basis, due) = match n % 20 {
        0..=11 => (
            "claim.by_person",
            whole(person(n.wrapping_mul(7))),
            "01",
            Due::Rows,
        ),
        12 => ("claim.by_person", whole(json!("unknown")), "01", Due::Rows),
        13..=15 => (
            "claim.day",
            BTreeMap::from([("day", json!(day(n)))]),
            "01",
            Due::Rows,
        ),
        16 => {
            let large = BTreeMap::from([("amount", json!("150.00")), ("each", json!(100 + n % 7))]);
            let due = if recipient == "insurer-a" {
                Due::Rows
            } else {
                Due::Refused("not_permitted")
            };
            ("claim.over", large, "01", due)
        }
        17 => (
            "claim.unheard_of",
            BTreeMap::new(),
            "01",
            Due::Refused("unknown_kind"),
        ),
        18 => {
            let mut late = whole(person(n));
            late.insert("from", json!("yesterday"));
            ("claim.by_person", late, "01", Due::Refused("bad_argument"))
        }
        _ if n.is_multiple_of(2) => (
            "claim.by_person",
            whole(person(n)),
            "99",
            Due::Refused("no_basis"),
        ),
        _ => {
            let mut long = whole(person(n));
            long.insert("from", json!("2020-01-01"));
            ("claim.by_person", long, "01", Due::Refused("too_broad"))
        }
    };
    RequestCase {
        key: format!("{recipient}-{n}"),
        kind,
        arguments,
        basis,
        due,
    }
}

fn day(n: u32) -> String {
    let first = jiff::civil::date(2026, 1, 1);
    let later = first.checked_add(jiff::Span::new().days(i64::from(n % 210)));
    later.map_or_else(|_| first.to_string(), |day| day.to_string())
}
