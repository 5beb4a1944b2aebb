//! Sample values for tests.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemas::approval::{Approval, Decision};
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::request::Request;
use schemas::sign::{PublicKey, SigningKey};

/// Keys are expensive to create, so there are eight.
static KEYS: LazyLock<Vec<PublicKey>> =
    LazyLock::new(|| (0..8).map(|_| SigningKey::generate().public().clone()).collect());

/// Returns 2026-01-31T12:00:00Z plus `second` seconds.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

/// The person of [`request`].
pub(crate) const PERSON: &str = "31010004711";

pub(crate) fn digest() -> Digest {
    Digest::of(&[b"the request as filed"])
}

pub(crate) fn request() -> Request {
    Request {
        id: "20260131-abcdefgh".parse().unwrap(),
        recipient: "insurer-a".parse().unwrap(),
        origin: None,
        kind: "setl.by_person".to_owned(),
        arguments: [("psn_no", PERSON), ("from", "2026-01-01"), ("to", "2026-01-31")]
            .map(|(name, text)| (name.to_owned(), Scalar::Text(text.to_owned())))
            .into(),
        purpose: "01".to_owned(),
        basis: "02".to_owned(),
        deadline: None,
        idempotency: None,
        filed_by: "Clerk ".to_owned(),
        filed_at: at(-1),
        key: KEYS[0].clone(),
    }
}

/// Returns an officer's decision about [`request`]. Each name has its own key.
pub(crate) fn approval(officer: &str, decision: Decision) -> Approval {
    let names = ["li", "wang", "zhao", "clerk", "sun"];
    let place = names.iter().position(|name| *name == officer).unwrap();
    let request = request();
    Approval {
        id: request.id,
        recipient: request.recipient,
        request: digest(),
        officer: officer.parse().unwrap(),
        decision,
        reason: "as agreed".to_owned(),
        at: at(1),
        key: KEYS[place + 1].clone(),
    }
}

/// A kind with every setting.
pub(crate) const KIND: &str = r#"
[[kind]]
name = "setl.by_person"
sql = "select setl_id, psn_no, psn_name, medfee_sumamt from setl where psn_no = $1 and begndate between $2 and $3"
arguments = [
  { name = "psn_no", type = "text", max = 30, person = true },
  { name = "from", type = "date", period = "begin" },
  { name = "to", type = "date", period = "end" },
]
order = ["setl_id"]
money = ["medfee_sumamt"]
person = ["psn_no"]
feeds = ["setl"]
max_rows = 100
max_period = "366d"
priority = "normal"
approval = { officers = 2, within = "2d" }
[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01", "02"] }
columns = ["setl_id", "psn_no", "psn_name", "medfee_sumamt"]
masks = { psn_name = { keep = { first = 1 } } }
"#;

/// Validates [`KIND`].
pub(crate) fn kinds(text: &str) -> Result<crate::kind::Kinds, String> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        kind: Vec<crate::kind::KindConfig>,
    }
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    crate::kind::Kinds::new(file.kind).map_err(|error| error.to_string())
}

/// Returns a reply to [`request`].
pub(crate) fn reply(outcome: schemas::reply::Outcome) -> schemas::reply::Reply {
    let request = request();
    schemas::reply::Reply {
        id: request.id,
        recipient: request.recipient,
        request: digest(),
        outcome,
        attempt: None,
        definition: None,
        load: None,
        read_from: None,
        read_to: None,
        withheld: 0,
        instance: "one".to_owned(),
        at: at(60),
        key: request.key,
    }
}
