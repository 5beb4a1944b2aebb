//! PURE: what operators' holds mean for a lane.
//!
//! A hold of a recipient or a feed keeps a lane from publishing: its cursor stays, and it goes on from
//! there. A hold of a person keeps rows back and lets the others pass: they are counted in the manifest, and
//! where it began is said again in every chunk that follows ([`carry`]), so that they can be sent afterwards
//! whichever process reads on, and whatever was killed in between.
//!
//! The block list keeps rows back the same way ([`and_listed`]), for everybody, under the name [`KEPT_BY`].
//!
//! What cannot be told is held: orders that nobody could read yet, a mark made under another key.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use requests::blocklist::BlockList;
use schemas::control::{Action, AnyAction, Hold, Order};
use schemas::cursor::Cursor;
use schemas::digest::Digest;
use schemas::manifest::{HeldBack, Link};
use schemas::name::Lane;
use schemas::person::PersonKey;
use schemas::value::Value;
use tokio::sync::watch;

use crate::blocklist::KEPT_BY;
use crate::step::Place;

/// One hold in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The order's id.
    pub id: String,
    /// What it names.
    pub hold: Hold,
    /// Who decided.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
}

/// All holds as an agent knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// They were never read: there might be one, so nothing is published.
    Unread(String),
    /// A later record than the exchange's is lost: there might have been one in it, so nothing is published.
    Behind(String),
    /// Those in force.
    Known(Vec<InForce>),
}

/// Where lanes learn of them.
pub type HoldWatch = watch::Receiver<Holds>;

/// A watch that never tells of any, for an agent that takes no orders.
#[must_use]
pub fn none() -> HoldWatch {
    watch::channel(Holds::Known(Vec::new())).1
}

impl Holds {
    /// The holds among orders.
    pub fn of<'a>(orders: impl Iterator<Item = &'a Order>) -> Self {
        let hold = |order: &Order| match &order.action {
            AnyAction::Known(Action::Hold(hold)) => Some(InForce {
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

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hold {} by {}: {}", self.id, self.actor, self.reason)?;
        match self.until {
            Some(until) => write!(f, " (until {until:.0})"),
            None => write!(f, " (until it is released)"),
        }
    }
}

/// Which rows are kept back, and by which hold, or by the block list.
#[derive(Clone)]
pub struct Withhold {
    column: String,
    marks: BTreeMap<Digest, String>,
    list: Option<Arc<BlockList>>,
    key: Arc<PersonKey>,
}

impl Withhold {
    /// The column that names the person.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The id of the hold that keeps a row with this value back, or [`KEPT_BY`] where the block list does.
    #[must_use]
    pub fn by(&self, value: Value<'_>) -> Option<&str> {
        let digest = self.key.digest_of(value)?;
        // A list of another key names nobody that can be told, so it is taken to name everybody.
        let listed = |list: &Arc<BlockList>| list.under(&self.key).is_ok_and(|list| !list.holds(digest));
        if !self.list.iter().all(listed) {
            return Some(KEPT_BY);
        }
        self.marks.get(&digest).map(String::as_str)
    }
}

impl PartialEq for Withhold {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column && self.marks == other.marks && self.list == other.list
    }
}

impl Eq for Withhold {}

impl fmt::Debug for Withhold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = self.list.as_ref().map_or(0, |list| list.len());
        write!(
            f,
            "Withhold({}, {} marks, {listed} listed)",
            self.column,
            self.marks.len()
        )
    }
}

/// What a lane may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneHold {
    /// Publish everything, or everything but some rows.
    Free(Option<Arc<Withhold>>),
    /// Publish nothing; why.
    Held(String),
}

/// What holds mean for a lane whose feed names a person in this column.
#[must_use]
pub fn judge(holds: &Holds, lane: &Lane, column: Option<&str>, key: Option<&Arc<PersonKey>>) -> LaneHold {
    let known = match holds {
        Holds::Unread(why) => {
            return LaneHold::Held(format!("the operators' orders could not be read yet: {why}"));
        }
        Holds::Behind(why) => return LaneHold::Held(why.clone()),
        Holds::Known(known) => known,
    };
    let mut marks = BTreeMap::new();
    for one in known.iter().filter(|one| one.hold.names(lane)) {
        let Some(mark) = &one.hold.person else {
            return LaneHold::Held(one.to_string());
        };
        match (column, key) {
            (Some(_), Some(key)) if *key.public() == mark.key => {
                marks.insert(mark.digest, one.id.clone());
            }
            (Some(_), _) => {
                return LaneHold::Held(format!(
                    "{one}: it marks a person under another signing key than this agent's, so nobody can tell whose rows \
                     it means; add it again with this agent's file, then release the old one"
                ));
            }
            (None, _) if one.hold.feeds.contains(&lane.feed) => {
                return LaneHold::Held(format!(
                    "{one}: it names a person, and the feed does not say which column does; write `person = \"…\"` there"
                ));
            }
            // A hold of all feeds is about those that name persons.
            (None, _) => {}
        }
    }
    LaneHold::Free(match (column, key) {
        (Some(column), Some(key)) if !marks.is_empty() => Some(Arc::new(Withhold {
            column: column.to_owned(),
            marks,
            list: None,
            key: Arc::clone(key),
        })),
        _ => None,
    })
}

/// The same with the rows kept back of those on the block list. A feed that names no person passes.
#[must_use]
pub fn and_listed(
    hold: LaneHold,
    list: &Arc<BlockList>,
    column: Option<&str>,
    key: Option<&Arc<PersonKey>>,
) -> LaneHold {
    let (LaneHold::Free(withhold), Some(column)) = (&hold, column) else {
        return hold;
    };
    let Some(key) = key else {
        return LaneHold::Held("there is no key that could ask the block list".to_owned());
    };
    if let Err(error) = list.under(key) {
        return LaneHold::Held(error.to_string());
    }
    if list.is_empty() {
        return hold;
    }
    LaneHold::Free(Some(Arc::new(Withhold {
        column: column.to_owned(),
        marks: withhold
            .as_ref()
            .map(|withhold| withhold.marks.clone())
            .unwrap_or_default(),
        list: Some(Arc::clone(list)),
        key: Arc::clone(key),
    })))
}

/// Entries at most; what is beyond stands together under [`MORE`].
const MOST: usize = 256;
const MORE: &str = "more";

/// Where holds began to keep rows back, after a chunk more.
#[must_use]
pub fn carry(
    before: &BTreeMap<String, HeldBack>,
    withheld: &BTreeMap<String, u64>,
    place: Place,
    cursor: Option<&Cursor>,
) -> BTreeMap<String, HeldBack> {
    let mut carried = before.clone();
    for (id, rows) in withheld {
        let id = if carried.contains_key(id) || carried.len() < MOST {
            id
        } else {
            MORE
        };
        let entry = carried.entry(id.to_owned()).or_insert_with(|| HeldBack {
            epoch: place.epoch,
            number: place.number,
            continues: place.previous.map(|digest| Link {
                epoch: place.epoch,
                number: place.number.saturating_sub(1),
                digest,
            }),
            cursor: cursor.cloned(),
            rows: 0,
        });
        entry.rows += rows;
    }
    carried
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
        Holds::Known(vec![InForce {
            id: "h1".into(),
            hold: Hold {
                recipients: recipients.iter().map(|name| name.parse().unwrap()).collect(),
                feeds: feeds.iter().map(|name| name.parse().unwrap()).collect(),
                person: person.map(|key| key.mark("4711")),
            },
            actor: "li.na".into(),
            reason: "court order".into(),
            until: None,
        }])
    }

    #[test]
    fn a_hold_names_recipients_feeds_or_all() {
        let is_held =
            |holds: &Holds, lane: &Lane| matches!(judge(holds, lane, None, None), LaneHold::Held(_));
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
    fn a_person_is_withheld_and_what_cannot_be_told_is_held() {
        let key = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let other = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let all = hold(&[], &[], Some(&key));
        let LaneHold::Free(Some(withhold)) = judge(&all, &lane("a", "f"), Some("psn_no"), Some(&key)) else {
            panic!("nothing is withheld");
        };
        assert_eq!(withhold.by(Value::Int(4711)), Some("h1"));
        assert_eq!(withhold.by(Value::Int(4712)), None);
        assert_eq!(
            judge(&all, &lane("a", "f"), None, Some(&key)),
            LaneHold::Free(None)
        );
        for holds in [
            judge(&all, &lane("a", "f"), Some("psn_no"), Some(&other)),
            judge(&hold(&[], &["f"], Some(&key)), &lane("a", "f"), None, Some(&key)),
        ] {
            assert!(
                matches!(&holds, LaneHold::Held(why) if !why.contains("4711")),
                "{holds:?}"
            );
        }
    }

    #[test]
    fn a_person_on_the_list_is_withheld_beside_holds_and_an_unknown_list_is_held() {
        let key = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let other = Arc::new(PersonKey::of(&SigningKey::generate()).unwrap());
        let day = jiff::civil::date(2026, 1, 31);
        let list = |key: &PersonKey, persons: &[&str]| {
            let digests = persons.iter().map(|person| key.mark(person).digest);
            Arc::new(BlockList::new(day, key, digests.collect()))
        };
        let held = hold(&[], &[], Some(&key));
        let held = judge(&held, &lane("a", "f"), Some("psn_no"), Some(&key));
        let both = and_listed(held, &list(&key, &["4712"]), Some("psn_no"), Some(&key));
        let LaneHold::Free(Some(withhold)) = &both else {
            panic!("nothing is withheld");
        };
        assert_eq!(withhold.by(Value::Int(4711)), Some("h1"));
        assert_eq!(withhold.by(Value::Text("4712 ")), Some(KEPT_BY));
        assert_eq!(withhold.by(Value::Int(4713)), None);
        assert!(!format!("{both:?}").contains("4712"));
        let free = || LaneHold::Free(None);
        let listed = list(&key, &["4711"]);
        assert_eq!(and_listed(free(), &listed, None, Some(&key)), free());
        assert_eq!(
            and_listed(free(), &list(&key, &[]), Some("psn_no"), Some(&key)),
            free()
        );
        let unread = BlockList::clone(&listed).unread("cut short: import the file again".to_owned());
        for unknown in [list(&other, &["4711"]), list(&other, &[]), Arc::new(unread)] {
            let judged = and_listed(free(), &unknown, Some("psn_no"), Some(&key));
            assert!(matches!(&judged, LaneHold::Held(why) if why.contains("import the file again")));
            assert_eq!(and_listed(free(), &unknown, None, Some(&key)), free());
        }
        assert!(matches!(
            and_listed(free(), &listed, Some("psn_no"), None),
            LaneHold::Held(_)
        ));
    }

    #[test]
    fn where_a_hold_began_is_carried_on_and_counted() {
        let place = |number| Place {
            epoch: 2,
            number,
            previous: Some(Digest::of(&[b"x"])),
        };
        let rows = |rows| BTreeMap::from([("h1".to_owned(), rows)]);
        let one = carry(&BTreeMap::new(), &rows(3), place(7), None);
        let two = carry(&one, &BTreeMap::new(), place(8), None);
        assert_eq!(one, two);
        let three = carry(&two, &rows(2), place(9), None);
        let entry = &three["h1"];
        assert_eq!((entry.epoch, entry.number, entry.rows), (2, 7, 5));
        assert_eq!(entry.continues.map(|link| link.number), Some(6));
        let many = (0..300).map(|n| (format!("h{n:03}"), 1)).collect();
        let many = carry(&BTreeMap::new(), &many, place(3), None);
        assert_eq!(many.len(), MOST + 1);
        assert_eq!(many.values().map(|entry| entry.rows).sum::<u64>(), 300);
    }
}
