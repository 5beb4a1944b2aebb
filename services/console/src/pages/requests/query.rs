//! PURE: what the parameters of the URL choose.

use jiff::SignedDuration;
use schemas::name::RecipientName;
use schemas::request::RequestId;

use crate::context::Context;

/// The ages that can be chosen, with the keys of their texts.
pub(super) const AGES: [(&str, &str, Option<SignedDuration>); 5] = [
    ("1h", "requests.age.hour", Some(SignedDuration::from_hours(1))),
    ("1d", "requests.age.day", Some(SignedDuration::from_hours(24))),
    (
        "7d",
        "requests.age.week",
        Some(SignedDuration::from_hours(7 * 24)),
    ),
    (
        "30d",
        "requests.age.month",
        Some(SignedDuration::from_hours(30 * 24)),
    ),
    ("all", "requests.age.all", None),
];

/// The age without a choice.
const DEFAULT_AGE: &str = "7d";

/// The states that can be chosen: no outcome yet, or one of the names of [`requests::status::State`].
pub(super) const STATES: [&str; 15] = [
    "open",
    "stored",
    "waits_for_approval",
    "taken",
    "held",
    "answering",
    "answered",
    "empty",
    "partial",
    "refused",
    "expired",
    "cancelled",
    "failed",
    "delivered",
    "stored_by_insurer",
];

/// What is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// One request.
    pub(super) id: Option<RequestId>,
    /// Of one recipient.
    pub(super) recipient: Option<RecipientName>,
    /// In one state; empty: in any.
    pub(super) state: &'static str,
    /// Of one kind; empty: of any.
    pub(super) kind: String,
    /// The name of an age.
    pub(super) age: &'static str,
    /// Where the page before ended: an id for a recipient, a time for others.
    pub(super) before: String,
    /// The page of rows, from 1.
    pub(super) page: usize,
}

impl Query {
    /// Reads the parameters. An invalid one chooses nothing.
    pub(super) fn of(context: &Context) -> Self {
        let parameter = |name| context.parameter(name);
        let age = AGES.iter().find(|(name, ..)| *name == parameter("age"));
        let state = STATES.into_iter().find(|state| *state == parameter("state"));
        Self {
            id: parameter("id").parse().ok(),
            recipient: parameter("recipient").parse().ok(),
            state: state.unwrap_or_default(),
            kind: parameter("kind").to_owned(),
            age: age.map_or(DEFAULT_AGE, |(name, ..)| name),
            before: parameter("before").to_owned(),
            page: parameter("page").parse().unwrap_or(1).max(1),
        }
    }

    /// Returns the greatest age; `None`: any.
    pub(super) fn max_age(&self) -> Option<SignedDuration> {
        let age = AGES.iter().find(|(name, ..)| *name == self.age);
        age.and_then(|(.., age)| *age)
    }

    /// Returns the URL of the same choice with another page or beginning.
    pub(super) fn path(&self, before: &str, page: usize) -> String {
        let mut path = format!("/console/requests?state={}&age={}", self.state, self.age);
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                path.push_str(&format!("&{name}={}", encode(value)));
            }
        };
        add("kind", &self.kind);
        add(
            "recipient",
            self.recipient.as_ref().map_or("", RecipientName::as_str),
        );
        add("before", before);
        if page > 1 {
            add("page", &page.to_string());
        }
        path
    }
}

/// Escapes a value of a URL's query.
pub(super) fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::sample::context;
    use crate::site::{ConsoleRole, PartyRole};

    #[test]
    fn requests_query_refuses_what_it_does_not_know() {
        let mut context = context(PartyRole::Auditor, ConsoleRole::Viewer);
        context.query = [
            ("state", "<script>"),
            ("age", "9y"),
            ("page", "0"),
            ("recipient", "../x"),
            ("id", "no"),
            ("kind", "a&b"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let query = Query::of(&context);
        assert_eq!((query.state, query.age, query.page), ("", "7d", 1));
        assert_eq!((query.recipient.as_ref(), query.id.as_ref()), (None, None));
        assert_eq!(
            query.path("2026-01-31T08:00:00Z", 2),
            "/console/requests?state=&age=7d&kind=a%26b&before=2026-01-31T08%3A00%3A00Z&page=2"
        );
    }

    #[test]
    fn requests_states_are_those_of_the_command_line() {
        use requests::status::State;
        let names = [State::Stored, State::Expired, State::Delivered, State::Empty].map(|state| state.name());
        assert!(names.iter().all(|name| STATES.contains(name)), "{names:?}");
    }
}
