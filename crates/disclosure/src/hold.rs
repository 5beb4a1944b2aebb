//! PURE: evaluates operators' holds for a lane.
//!
//! A hold of a recipient or a feed stops a lane from publishing; its cursor stays. A hold of a person withholds rows and lets
//! the others pass.
//!
//! The block list withholds rows the same way ([`with_block_list`]), from every recipient, under the id [`BLOCKLIST_ID`].
//!
//! Doubt means held: orders that were not read yet, or a mark made under another key.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use schemas::control::{Action, AnyAction, Hold, Order};
use schemas::digest::Digest;
use schemas::name::Lane;
use schemas::person::PersonKey;
use schemas::value::Value;

use crate::blocklist::{BLOCKLIST_ID, BlockList};

/// One hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveHold {
    /// The order's id.
    pub id: String,
    /// The hold.
    pub hold: Hold,
    /// Who decided.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it expires.
    pub until: Option<Timestamp>,
}

/// The holds known to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// They were never read, so nothing is published.
    Unread(String),
    /// A control record is lost and may have contained a hold, so nothing is published.
    Behind(String),
    /// Those in force.
    Known(Vec<ActiveHold>),
}

impl Holds {
    /// Selects the holds among orders.
    pub fn of<'a>(orders: impl Iterator<Item = &'a Order>) -> Self {
        let hold = |order: &Order| match &order.action {
            AnyAction::Known(Action::Hold(hold)) => Some(ActiveHold {
                id: order.id.clone(),
                hold: hold.clone(),
                actor: order.actor.clone(),
                reason: order.reason.clone(),
                until: order.expires,
            }),
            _ => None,
        };
        Self::Known(orders.filter_map(hold).collect())
    }
}

impl fmt::Display for ActiveHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hold {} by {}: {}", self.id, self.actor, self.reason)?;
        match self.until {
            Some(until) => write!(f, " (until {until:.0})"),
            None => write!(f, " (until it is released)"),
        }
    }
}

/// Selects the rows that holds or the block list withhold.
#[derive(Clone)]
pub struct RowFilterRules {
    column: String,
    marks: BTreeMap<Digest, String>,
    list: Option<Arc<BlockList>>,
    key: Arc<PersonKey>,
}

impl RowFilterRules {
    /// The column that names the person.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Returns the id of the hold that withholds a row with this value, or [`BLOCKLIST_ID`] for the block list.
    #[must_use]
    pub fn by(&self, value: Value<'_>) -> Option<&str> {
        let digest = self.key.digest_of(value)?;
        // A list made with another key cannot be checked, so it is treated as naming everyone.
        let listed =
            |list: &Arc<BlockList>| list.with_key(&self.key).is_ok_and(|list| !list.contains(digest));
        if !self.list.iter().all(listed) {
            return Some(BLOCKLIST_ID);
        }
        self.marks.get(&digest).map(String::as_str)
    }
}

impl PartialEq for RowFilterRules {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.marks == other.marks && self.list == other.list
    }
}

impl Eq for RowFilterRules {}

impl fmt::Debug for RowFilterRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.list.as_ref().map_or(0, |list| list.len());
        write!(
            f,
            "RowFilterRules({}, {} marks, {listed} listed)",
            self.column,
            self.marks.len()
        )
    }
}

/// The effect of holds on a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldEffect {
    /// Everything is published, except withheld rows.
    Free(Option<Arc<RowFilterRules>>),
    /// Nothing is published, for this reason.
    Held(String),
}

/// Evaluates holds for a lane whose feed names a person in `column`.
#[must_use]
pub fn evaluate(
    holds: &Holds,
    lane: &Lane,
    column: Option<&str>,
    key: Option<&Arc<PersonKey>>,
) -> HoldEffect {
    let known = match holds {
        Holds::Unread(why) => {
            return HoldEffect::Held(format!("the operators' orders were not read yet: {why}"));
        }
        Holds::Behind(why) => return HoldEffect::Held(why.clone()),
        Holds::Known(known) => known,
    };
    let mut marks = BTreeMap::new();
    for one in known.iter().filter(|one| one.hold.covers(lane)) {
        let Some(mark) = &one.hold.person else {
            return HoldEffect::Held(one.to_string());
        };
        match (column, key) {
            (Some(_), Some(key)) if *key.public() == mark.key => {
                marks.insert(mark.digest, one.id.clone());
            }
            (Some(_), _) => {
                return HoldEffect::Held(format!(
                    "{one}: it marks a person under another signing key than this agent's, so its rows cannot be \
                     identified; add it again with this agent's file, then release the old one"
                ));
            }
            (None, _) if one.hold.feeds.contains(&lane.feed) => {
                return HoldEffect::Held(format!(
                    "{one}: it names a person, but the feed has no person column; set `person = \"…\"` in the feed"
                ));
            }
            // A hold of all feeds applies to those that name persons.
            (None, _) => {}
        }
    }
    HoldEffect::Free(match (column, key) {
        (Some(column), Some(key)) if !marks.is_empty() => Some(Arc::new(RowFilterRules {
            column: column.to_owned(),
            marks,
            list: None,
            key: Arc::clone(key),
        })),
        _ => None,
    })
}

/// Adds the block list to the effect of holds. A feed without a person column is not affected.
#[must_use]
pub fn with_block_list(
    hold: HoldEffect,
    list: &Arc<BlockList>,
    column: Option<&str>,
    key: Option<&Arc<PersonKey>>,
) -> HoldEffect {
    let (HoldEffect::Free(withhold), Some(column)) = (&hold, column) else {
        return hold;
    };
    let Some(key) = key else {
        return HoldEffect::Held("there is no key to check the block list with".to_owned());
    };
    if let Err(error) = list.with_key(key) {
        return HoldEffect::Held(error.to_string());
    }
    if list.is_empty() {
        return hold;
    }
    HoldEffect::Free(Some(Arc::new(RowFilterRules {
        column: column.to_owned(),
        marks: withhold
            .as_ref()
            .map(|withhold| withhold.marks.clone())
            .unwrap_or_default(),
        list: Some(Arc::clone(list)),
        key: Arc::clone(key),
    })))
}

#[cfg(test)]
mod tests {
    use schemas::sign::SigningKey;

    use super::*;

    fn lane(recipient: &str, feed: &str) -> Lane {
        Lane {
            recipient: recipient.parse().unwrap(),
            feed: feed.parse().unwrap(),
        }
    }

    fn hold(recipients: &[&str], feeds: &[&str], person: Option<&PersonKey>) -> Holds {
        Holds::Known(vec![ActiveHold {
            id: "h1".into(),
            hold: Hold {
                recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
                feeds: feeds.iter().map(|name| name.parse().unwrap()).collect(),
                person: person.map(|key| key.token("4711")),
            },
            actor: "li.na".into(),
            reason: "court order".into(),
            until: None,
        }])
    }

    #[test]
    fn hold_names_recipients_feeds_or_all() {
        let is_held =
            |holds: &Holds, lane: &Lane| matches!(evaluate(holds, lane, None, None), HoldEffect::Held(_));
        let table = [
            (hold(&["a"], &[], None), [true, true, false]),
            (hold(&[], &["f"], None), [true, false, true]),
            (hold(&["a"], &["f"], None), [true, false, false]),
            (hold(&[], &[], None), [true, true, true]),
            (Holds::Known(Vec::new()), [false, false, false]),
            (Holds::Unread("away".into()), [true, true, true]),
            (Holds::Behind("lost".into()), [true, true, true]),
        ];
        for (holds, wanted) in table {
            let found = [lane("a", "f"), lane("a", "g"), lane("b", "f")].map(|lane| is_held(&holds, &lane));
            assert_eq!(found, wanted, "{holds:?}");
        }
    }

    #[test]
    fn hold_person_is_withheld_and_doubt_is_held() {
        let key = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let other = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let all = hold(&[], &[], Some(&key));
        let HoldEffect::Free(Some(withhold)) = evaluate(&all, &lane("a", "f"), Some("psn_no"), Some(&key))
        else {
            panic!("nothing is withheld");
        };
        assert_eq!(withhold.by(Value::Int(4711)), Some("h1"));
        assert_eq!(withhold.by(Value::Int(4712)), None);
        assert_eq!(
            evaluate(&all, &lane("a", "f"), None, Some(&key)),
            HoldEffect::Free(None)
        );
        for holds in [
            evaluate(&all, &lane("a", "f"), Some("psn_no"), Some(&other)),
            evaluate(&hold(&[], &["f"], Some(&key)), &lane("a", "f"), None, Some(&key)),
        ] {
            assert!(
                matches!(&holds, HoldEffect::Held(why) if !why.contains("4711")),
                "{holds:?}"
            );
        }
    }

    #[test]
    fn hold_listed_person_is_withheld_and_unknown_list_is_held() {
        let key = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let other = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let day = jiff::civil::date(2026, 1, 31);
        let list = |key: &PersonKey, persons: &[&str]| {
            let digests = persons.iter().map(|person| key.token(person).digest);
            Arc::new(BlockList::new(day, key, digests.collect()))
        };
        let held = hold(&[], &[], Some(&key));
        let held = evaluate(&held, &lane("a", "f"), Some("psn_no"), Some(&key));
        let both = with_block_list(held, &list(&key, &["4712"]), Some("psn_no"), Some(&key));
        let HoldEffect::Free(Some(withhold)) = &both else {
            panic!("nothing is withheld");
        };
        assert_eq!(withhold.by(Value::Int(4711)), Some("h1"));
        assert_eq!(withhold.by(Value::Text("4712 ")), Some(BLOCKLIST_ID));
        assert_eq!(withhold.by(Value::Int(4713)), None);
        assert!(!format!("{both:?}").contains("4712"));
        let free = || HoldEffect::Free(None);
        let listed = list(&key, &["4711"]);
        assert_eq!(with_block_list(free(), &listed, None, Some(&key)), free());
        assert_eq!(
            with_block_list(free(), &list(&key, &[]), Some("psn_no"), Some(&key)),
            free()
        );
        let unread = BlockList::clone(&listed).unreadable("cut short: import the file again".to_owned());
        for unknown in [list(&other, &["4711"]), list(&other, &[]), Arc::new(unread)] {
            let judged = with_block_list(free(), &unknown, Some("psn_no"), Some(&key));
            assert!(matches!(&judged, HoldEffect::Held(why) if why.contains("import the file again")));
            assert_eq!(with_block_list(free(), &unknown, None, Some(&key)), free());
        }
        assert!(matches!(
            with_block_list(free(), &listed, Some("psn_no"), None),
            HoldEffect::Held(_)
        ));
    }
}
