//! Kinds of requests, as the bureau configures them: what is asked, by whom, and what of it they get.
//!
//! ```toml
//! [[kind]]
//! name = "setl.by_person"
//! sql = "select setl_id, psn_no, psn_name, medfee_sumamt from setl where psn_no = $1 and begndate between $2 and $3"
//! arguments = [
//!   { name = "psn_no", type = "text", max = 30, person = true },
//!   { name = "from", type = "date", period = "begin" },
//!   { name = "to", type = "date", period = "end" },
//! ]
//! order = ["setl_id"]
//! money = ["medfee_sumamt"]
//! person = ["psn_no"]
//! feeds = ["setl"]
//! most_rows = 10000
//! longest_period = "366d"
//! priority = "normal"
//! approval = { officers = 2, within = "2d" }
//!
//! [[kind.grant]]
//! recipient = "insurer-a"
//! purposes = { "01" = ["01", "02"] }
//! columns = ["setl_id", "psn_no", "psn_name", "medfee_sumamt"]
//! masks = { psn_name = { keep = { first = 1 } } }
//! ```
//!
//! What a configuration says is checked once, when it is read ([`Kind::new`]); afterwards a [`Kind`] holds
//! what the rest of this crate relies on.

mod check;
mod definition;
mod placeholder;

use std::collections::BTreeMap;

use runtime::span::Span;
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::name::{FeedName, RecipientName};
use schemas::person::PersonKey;
use serde::{Deserialize, Serialize};

use crate::approval::ApprovalRule;
use crate::argument::{Argument, ArgumentType, BadArgument, Bound, End, StoredAs, StoredForm};
use crate::mask::Mask;

pub use check::KindError;
pub use placeholder::SqlError;

/// How soon a kind is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Somebody waits for it.
    Urgent,
    /// The usual.
    #[default]
    Normal,
    /// When there is nothing else.
    Bulk,
}

/// A kind as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindConfig {
    /// Its name: `a-z`, `0-9`, `_`, `-` and `.` between, a letter first, at most 64.
    pub name: String,
    /// One SELECT over the source, with `$1..$n` for the arguments.
    pub sql: String,
    /// The arguments, in the order of their places.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Columns of the answer that are unique together, by which a long one is read in several quanta.
    /// Without them an answer has to fit into one.
    #[serde(default)]
    pub order: Vec<String>,
    /// Columns whose exact sums are sent along.
    #[serde(default)]
    pub money: Vec<String>,
    /// The time zone in which the core writes times without zone: `Asia/Shanghai`. The SQL is evaluated in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Types of columns where the source does not tell them, as feeds have them.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Columns of the SQL that name a person, sent or not: the block list and holds are applied to them.
    #[serde(default)]
    pub person: Vec<String>,
    /// That no row names anybody: then no column has to be said.
    #[serde(default)]
    pub anonymous: bool,
    /// The feeds whose rows it answers with: a hold of one of them holds this kind. Where none is said,
    /// a hold of any feed does.
    #[serde(default)]
    pub feeds: Vec<FeedName>,
    /// Rows of an answer, at most.
    pub most_rows: u64,
    /// The longest period that may be asked about; both ends count where they are dates.
    #[serde(default)]
    pub longest_period: Option<Span>,
    /// How soon it is answered.
    #[serde(default)]
    pub priority: Priority,
    /// The officers who have to grant each request; none: it is answered without.
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    /// Who may ask, and what they get.
    #[serde(default)]
    pub grant: Vec<Grant>,
}

/// What one recipient may ask of a kind, and gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub recipient: RecipientName,
    /// Codes of purposes, each with the codes of the legal bases that allow it.
    pub purposes: BTreeMap<String, Vec<String>>,
    /// Columns that it gets; all others are not sent.
    pub columns: Vec<String>,
    /// How columns are masked.
    #[serde(default)]
    pub masks: BTreeMap<String, Mask>,
}

/// An argument's value as the source gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sent {
    /// The type in which it is bound.
    pub kind: ArgumentType,
    /// The value; none is null.
    pub value: Option<Scalar>,
    /// What the column holds that it is compared with, where the kind says so.
    pub stored_as: Option<StoredAs>,
}

/// Without the value: arguments name persons.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A kind that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    config: KindConfig,
    /// Places of both ends of the period.
    period: Option<(usize, usize)>,
    /// By argument: the form of the column that it is compared with, where one is given.
    forms: Vec<Option<StoredForm>>,
    shared: Digest,
}

/// All kinds by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kinds(BTreeMap<String, Kind>);

impl Kinds {
    /// Checks all of them.
    ///
    /// # Errors
    /// [`KindError`] with the first fault.
    pub fn new(configs: Vec<KindConfig>) -> Result<Self, KindError> {
        let mut kinds = BTreeMap::new();
        for config in configs {
            let kind = Kind::new(config)?;
            let name = kind.config.name.clone();
            if kinds.insert(name.clone(), kind).is_some() {
                return Err(check::twice(name));
            }
        }
        Ok(Self(kinds))
    }

    /// The kind of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.values()
    }
}

impl Kind {
    /// Checks a kind.
    ///
    /// # Errors
    /// [`KindError`] with the first fault.
    pub fn new(config: KindConfig) -> Result<Self, KindError> {
        check::check(&config)?;
        let forms = check::forms(&config)?;
        let place = |end| {
            config
                .arguments
                .iter()
                .position(|argument| argument.period == Some(end))
        };
        let period = place(End::Begin).zip(place(End::End));
        let shared = definition::shared(&config);
        Ok(Self {
            config,
            period,
            forms,
            shared,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn config(&self) -> &KindConfig {
        &self.config
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// The feeds whose rows it answers with.
    #[must_use]
    pub fn feeds(&self) -> &[FeedName] {
        &self.config.feeds
    }

    /// What a recipient may ask and gets; none where it may not ask.
    #[must_use]
    pub fn grant_of(&self, recipient: &RecipientName) -> Option<&Grant> {
        self.config
            .grant
            .iter()
            .find(|grant| grant.recipient == *recipient)
    }

    /// Each bound value as the source gets it: in the form of the column that it is compared with.
    ///
    /// # Errors
    /// [`BadArgument`] with the first whose form cannot say exactly its value.
    pub fn sent(&self, bound: &[Bound]) -> Result<Vec<Sent>, BadArgument> {
        let places = self.config.arguments.iter().zip(&self.forms).zip(bound);
        places
            .map(|((argument, form), bound)| {
                let Some(form) = form else {
                    return Ok(Sent {
                        kind: argument.kind,
                        value: bound.scalar(),
                        stored_as: None,
                    });
                };
                let stored_as = form.stored_as();
                Ok(Sent {
                    kind: match stored_as {
                        StoredAs::Text(_) => ArgumentType::Text,
                        StoredAs::Integer(..) => ArgumentType::Integer,
                    },
                    value: form.render(argument, bound)?,
                    stored_as: Some(stored_as),
                })
            })
            .collect()
    }

    /// Each argument as the source gets it, without a value: for a look at the kind alone.
    #[must_use]
    pub fn sent_empty(&self) -> Vec<Sent> {
        let none = vec![Bound::Null; self.config.arguments.len()];
        self.sent(&none).unwrap_or_default()
    }

    /// Places of the two ends of the period among the arguments.
    #[must_use]
    pub fn period(&self) -> Option<(usize, usize)> {
        self.period
    }

    /// The persons that bound arguments name, as digests.
    pub fn persons_in<'a>(
        &'a self,
        bound: &'a [Bound],
        key: &'a PersonKey,
    ) -> impl Iterator<Item = Digest> + 'a {
        let named = self
            .config
            .arguments
            .iter()
            .zip(bound)
            .filter(|(argument, _)| argument.person);
        named.filter_map(|(_, bound)| key.digest_of(bound.person()))
    }

    /// The digest of what decides an answer for one recipient: the SQL, the limits, its columns and masks.
    /// It stands in parts and replies, so that a change of the configuration shows. What another recipient
    /// gets does not change it.
    #[must_use]
    pub fn definition(&self, recipient: &RecipientName) -> Digest {
        definition::of(self.shared, self.grant_of(recipient))
    }
}

#[cfg(test)]
mod tests;
