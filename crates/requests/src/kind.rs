//! Kinds of requests, as the bureau configures them: the query, the recipients and their columns.
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
//! max_rows = 10000
//! max_period = "366d"
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
//! The configuration is validated once, by [`Kind::new`]. The rest of this crate relies on a valid [`Kind`].

mod check;
mod definition;
mod placeholder;
mod reconciliation;

use std::collections::BTreeMap;

use runtime::span::Span;
use schemas::cursor::Scalar;
use schemas::digest::Digest;
use schemas::name::{FeedName, RecipientName};
use schemas::person::PersonKey;
use serde::{Deserialize, Serialize};

use crate::approval::ApprovalRule;
use crate::argument::{Argument, ArgumentError, ArgumentType, Bound, End, StoredAs, StoredFormat};
use disclosure::mask::Mask;

pub use self::reconciliation::{PURPOSE, ReconciledFeed};
pub use check::KindError;
pub use placeholder::SqlError;

/// The priority of a kind's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// An operator waits for it.
    Urgent,
    /// The default.
    #[default]
    Normal,
    /// Only if there is no other request.
    Bulk,
}

/// The configuration of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindConfig {
    /// Its name: `a-z`, `0-9`, `_`, `-` and `.` between, a letter first, at most 64.
    pub name: String,
    /// One SELECT over the source, with `$1..$n` for the arguments.
    pub sql: String,
    /// The arguments, in the order of `$1..$n`.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Columns of the answer that are unique together, by which a long answer is read in several quanta. Without them an answer must
    /// fit into one quantum.
    #[serde(default)]
    pub order: Vec<String>,
    /// Columns whose exact sums are sent.
    #[serde(default)]
    pub money: Vec<String>,
    /// The time zone of the core's times without zone: `Asia/Shanghai`. The SQL is evaluated in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Types of columns that the source does not report, as in feeds.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Columns of the SQL that name a person, sent or not. The block list and holds apply to them.
    #[serde(default)]
    pub person: Vec<String>,
    /// Whether no row names a person, so that `person` is empty.
    #[serde(default)]
    pub anonymous: bool,
    /// The feeds whose rows it returns. A hold of one of them holds this kind. Empty: a hold of any feed does.
    #[serde(default)]
    pub feeds: Vec<FeedName>,
    /// The greatest number of rows of an answer.
    pub max_rows: u64,
    /// The longest period of a request. Both days count if the ends are dates.
    #[serde(default)]
    pub max_period: Option<Span>,
    /// Its priority.
    #[serde(default)]
    pub priority: Priority,
    /// The approval that each request needs, if any.
    #[serde(default)]
    pub approval: Option<ApprovalRule>,
    /// The recipients, and what each gets.
    #[serde(default)]
    pub grant: Vec<Grant>,
}

/// What one recipient may request of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The recipient.
    pub recipient: RecipientName,
    /// Codes of purposes, each with the codes of the legal bases that allow it.
    pub purposes: BTreeMap<String, Vec<String>>,
    /// Columns that it gets. No others are sent.
    pub columns: Vec<String>,
    /// How columns are masked.
    #[serde(default)]
    pub masks: BTreeMap<String, Mask>,
}

/// An argument's value for the source.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceArgument {
    /// The type in which it is bound.
    pub kind: ArgumentType,
    /// The value. `None` is null.
    pub value: Option<Scalar>,
    /// The format of the column that it is compared with, if the kind declares it.
    pub stored_as: Option<StoredAs>,
}

/// Omits the value, because arguments name persons.
impl std::fmt::Debug for SourceArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceArgument")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// A validated kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    config: KindConfig,
    /// Indices of both ends of the period.
    period: Option<(usize, usize)>,
    /// The declared column format of each argument, if there is one.
    formats: Vec<Option<StoredFormat>>,
    shared: Digest,
    /// The feed that it reconciles, if it was made for that.
    reconciled: Option<Box<ReconciledFeed>>,
}

/// All kinds by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kinds(BTreeMap<String, Kind>);

impl Kinds {
    /// Validates all kinds.
    ///
    /// # Errors
    /// [`KindError`] with the first error.
    pub fn new(configs: Vec<KindConfig>) -> Result<Self, KindError> {
        let mut kinds = BTreeMap::new();
        for config in configs {
            let kind = Kind::new(config)?;
            let name = kind.config.name.clone();
            if kinds.insert(name.clone(), kind).is_some() {
                return Err(check::duplicate_kind(name));
            }
        }
        Ok(Self(kinds))
    }

    /// Returns the kind of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.0.get(name)
    }

    /// Iterates over all kinds by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.values()
    }
}

impl Kind {
    /// Validates a kind.
    ///
    /// # Errors
    /// [`KindError`] with the first error.
    pub fn new(config: KindConfig) -> Result<Self, KindError> {
        check::check(&config)?;
        let formats = check::formats(&config)?;
        let place = |end| {
            config
                .arguments
                .iter()
                .position(|argument| argument.period == Some(end))
        };
        let period = place(End::Begin).zip(place(End::End));
        let shared = definition::shared_digest(&config);
        Ok(Self {
            config,
            period,
            formats,
            shared,
            reconciled: None,
        })
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &KindConfig {
        &self.config
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns the feeds whose rows it returns.
    #[must_use]
    pub fn feeds(&self) -> &[FeedName] {
        &self.config.feeds
    }

    /// Returns the grant of a recipient, or `None` if it has none.
    #[must_use]
    pub fn grant_of(&self, recipient: &RecipientName) -> Option<&Grant> {
        self.config
            .grant
            .iter()
            .find(|grant| grant.recipient == *recipient)
    }

    /// Converts bound values for the source, in the formats of the columns that they are compared with.
    ///
    /// # Errors
    /// [`ArgumentError`] with the first whose format cannot represent its value exactly.
    pub fn source_arguments(&self, bound: &[Bound]) -> Result<Vec<SourceArgument>, ArgumentError> {
        let places = self.config.arguments.iter().zip(&self.formats).zip(bound);
        places
            .map(|((argument, format), bound)| {
                let Some(format) = format else {
                    return Ok(SourceArgument {
                        kind: argument.kind,
                        value: bound.scalar(),
                        stored_as: None,
                    });
                };
                let stored_as = format.stored_as();
                Ok(SourceArgument {
                    kind: match stored_as {
                        StoredAs::Text(_) => ArgumentType::Text,
                        StoredAs::Integer(..) => ArgumentType::Integer,
                    },
                    value: format.render(argument, bound)?,
                    stored_as: Some(stored_as),
                })
            })
            .collect()
    }

    /// Returns null for each argument, to check the kind at the source.
    #[must_use]
    pub fn null_source_arguments(&self) -> Vec<SourceArgument> {
        let none = vec![Bound::Null; self.config.arguments.len()];
        self.source_arguments(&none).unwrap_or_default()
    }

    /// Returns the indices of the two ends of the period among the arguments.
    #[must_use]
    pub fn period(&self) -> Option<(usize, usize)> {
        self.period
    }

    /// Returns the digests of the persons that bound arguments name.
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

    /// Returns the digest of everything that determines an answer for one recipient: the SQL, the limits, its columns and masks. Parts
    /// and replies contain it, so that a change of the configuration is visible. Other recipients' grants do not change it.
    #[must_use]
    pub fn definition(&self, recipient: &RecipientName) -> Digest {
        definition::recipient_digest(self.shared, self.grant_of(recipient))
    }
}

#[cfg(test)]
mod tests;
