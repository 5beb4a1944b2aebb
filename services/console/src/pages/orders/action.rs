//! PURE: the commands that an operator can prepare: their arguments, and how they are checked.

use schemas::name::{FeedName, OfficerName, RecipientName};
use schemas::visible;

use crate::shell::quote;
use crate::site::PartyRole;

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    GatePause,
    GateResume,
    GateLimit,
    HoldAdd,
    HoldRelease,
    ApprovalsGrant,
    ApprovalsRefuse,
    QuarantineRetry,
    QuarantineDiscard,
    FeedAccept,
    FeedResync,
    RequestCancel,
}

/// An argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Recipient,
    Feed,
    Id,
    Duty,
    Duration,
    Officer,
    SeedFile,
    Actor,
    Reason,
    Config,
}

/// A field that is wrong, and the key of the text that describes it.
pub(super) type Wrong = (Field, &'static str);

impl Action {
    pub(super) const ALL: [Self; 12] = [
        Self::GatePause,
        Self::GateResume,
        Self::GateLimit,
        Self::HoldAdd,
        Self::HoldRelease,
        Self::ApprovalsGrant,
        Self::ApprovalsRefuse,
        Self::QuarantineRetry,
        Self::QuarantineDiscard,
        Self::FeedAccept,
        Self::FeedResync,
        Self::RequestCancel,
    ];

    /// The value in the form, and in keys of texts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GatePause => "gate-pause",
            Self::GateResume => "gate-resume",
            Self::GateLimit => "gate-limit",
            Self::HoldAdd => "hold-add",
            Self::HoldRelease => "hold-release",
            Self::ApprovalsGrant => "approvals-grant",
            Self::ApprovalsRefuse => "approvals-refuse",
            Self::QuarantineRetry => "quarantine-retry",
            Self::QuarantineDiscard => "quarantine-discard",
            Self::FeedAccept => "feed-accept-change",
            Self::FeedResync => "feed-resync",
            Self::RequestCancel => "request-cancel",
        }
    }

    /// Returns the command of a name, if this party gives it.
    pub(super) fn parse(name: &str, role: PartyRole) -> Option<Self> {
        Self::of(role).find(|action| action.name() == name)
    }

    /// Returns the commands that a party gives.
    pub(super) fn of(role: PartyRole) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |action| match action {
            Self::GatePause
            | Self::GateResume
            | Self::GateLimit
            | Self::HoldAdd
            | Self::HoldRelease
            | Self::ApprovalsGrant
            | Self::ApprovalsRefuse
            | Self::FeedResync => role == PartyRole::Bureau,
            Self::FeedAccept | Self::RequestCancel => role == PartyRole::Recipient,
            Self::QuarantineRetry | Self::QuarantineDiscard => role != PartyRole::Auditor,
        })
    }

    fn words(self) -> [&'static str; 2] {
        match self {
            Self::GatePause => ["gate", "pause"],
            Self::GateResume => ["gate", "resume"],
            Self::GateLimit => ["gate", "limit"],
            Self::HoldAdd => ["hold", "add"],
            Self::HoldRelease => ["hold", "release"],
            Self::ApprovalsGrant => ["approvals", "grant"],
            Self::ApprovalsRefuse => ["approvals", "refuse"],
            Self::QuarantineRetry => ["quarantine", "retry"],
            Self::QuarantineDiscard => ["quarantine", "discard"],
            Self::FeedAccept => ["feed", "accept-change"],
            Self::FeedResync => ["feed", "resync"],
            Self::RequestCancel => ["request", "cancel"],
        }
    }

    /// Its arguments, in the order of the command line; whether each must be given.
    pub(super) fn fields(self) -> &'static [(Field, bool)] {
        use Field::{Actor, Config, Duration, Duty, Feed, Id, Officer, Reason, Recipient, SeedFile};
        match self {
            Self::GatePause => &[(Duration, false), (Actor, false), (Reason, true), (Config, true)],
            Self::GateResume => &[(Actor, false), (Reason, true), (Config, true)],
            Self::GateLimit => &[
                (Duty, true),
                (Duration, false),
                (Actor, false),
                (Reason, true),
                (Config, true),
            ],
            Self::HoldAdd => &[
                (Recipient, false),
                (Feed, false),
                (Duration, false),
                (Actor, false),
                (Reason, true),
                (Config, true),
            ],
            Self::HoldRelease | Self::QuarantineRetry | Self::QuarantineDiscard | Self::RequestCancel => {
                &[(Id, true), (Actor, false), (Reason, true), (Config, true)]
            }
            Self::ApprovalsGrant | Self::ApprovalsRefuse => &[
                (Id, true),
                (Recipient, true),
                (Officer, true),
                (SeedFile, true),
                (Reason, true),
                (Config, true),
            ],
            Self::FeedAccept => &[(Feed, true), (Actor, true), (Reason, true), (Config, true)],
            Self::FeedResync => &[
                (Feed, true),
                (Recipient, true),
                (Actor, true),
                (Reason, true),
                (Config, true),
            ],
        }
    }

    /// Whether the value of a field comes without an option.
    fn is_positional(self, field: Field) -> bool {
        match field {
            Field::Id => true,
            Field::Feed => matches!(self, Self::FeedAccept | Self::FeedResync),
            _ => false,
        }
    }

    /// Returns the command line of these values, quoted for a shell.
    ///
    /// # Errors
    /// Every field that is wrong.
    pub(super) fn command(self, value: impl Fn(Field) -> String) -> Result<String, Vec<Wrong>> {
        let [group, verb] = self.words();
        let mut parts = vec!["slacktide".to_owned(), group.to_owned(), verb.to_owned()];
        let mut wrong = Vec::new();
        for (field, is_required) in self.fields() {
            let value = value(*field);
            let value = value.trim();
            if value.is_empty() {
                if *is_required {
                    wrong.push((*field, "order.error.missing"));
                }
                continue;
            }
            if let Some(key) = field.fault(value) {
                wrong.push((*field, key));
                continue;
            }
            let quoted = quote(value);
            if self.is_positional(*field) {
                parts.push(quoted);
            } else if value.starts_with('-') {
                // As one argument: a value like an option is not read as one.
                parts.push(format!("{}={quoted}", field.option()));
            } else {
                parts.push(field.option().to_owned());
                parts.push(quoted);
            }
        }
        if self == Self::HoldAdd
            && value(Field::Recipient).trim().is_empty()
            && value(Field::Feed).trim().is_empty()
        {
            wrong.push((Field::Recipient, "order.error.hold"));
        }
        if wrong.is_empty() {
            Ok(parts.join(" "))
        } else {
            Err(wrong)
        }
    }
}

impl Field {
    /// Its name in the form, and in keys of texts.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Feed => "feed",
            Self::Id => "id",
            Self::Duty => "duty",
            Self::Duration => "duration",
            Self::Officer => "officer",
            Self::SeedFile => "seed-file",
            Self::Actor => "actor",
            Self::Reason => "reason",
            Self::Config => "config",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Recipient => "--recipient",
            Self::Feed => "--feed",
            Self::Id => "--id",
            Self::Duty => "--duty",
            Self::Duration => "--for",
            Self::Officer => "--officer",
            Self::SeedFile => "--seed-file",
            Self::Actor => "--actor",
            Self::Reason => "--reason",
            Self::Config => "--config",
        }
    }

    /// Returns the key of what is wrong with a value.
    fn fault(self, value: &str) -> Option<&'static str> {
        if value.chars().count() > MAX_REASON {
            return Some("order.error.long");
        }
        if visible::check_visible("value", value).is_err() {
            return Some("order.error.invisible");
        }
        let is_id = |value: &str| {
            let mut bytes = value.bytes();
            bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric())
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        };
        let is_right = match self {
            Self::Recipient => RecipientName::new(value).is_ok(),
            Self::Feed => FeedName::new(value).is_ok(),
            Self::Officer => OfficerName::new(value).is_ok(),
            Self::Id => is_id(value),
            Self::Duty => value
                .strip_suffix('%')
                .unwrap_or(value)
                .trim()
                .parse::<u8>()
                .is_ok_and(|percent| (1..=100).contains(&percent)),
            Self::Duration => {
                let (digits, unit) =
                    value.split_at(value.len() - value.chars().next_back().map_or(0, char::len_utf8));
                digits.parse::<u32>().is_ok_and(|count| count > 0) && ["s", "m", "h", "d"].contains(&unit)
            }
            Self::SeedFile | Self::Actor | Self::Reason | Self::Config => true,
        };
        (!is_right).then_some(match self {
            Self::Duty => "order.error.duty",
            Self::Duration => "order.error.duration",
            _ => "order.error.name",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(action: Action, values: &[(Field, &str)]) -> Result<String, Vec<Wrong>> {
        action.command(|field| {
            let found = values.iter().find(|(known, _)| *known == field);
            found.map_or(String::new(), |(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn order_command_is_quoted_and_complete() {
        let values = [
            (Field::Reason, "year end; it's 'late' $(x)"),
            (Field::Config, "config/social.toml"),
            (Field::Duty, "20%"),
            (Field::Duration, "8h"),
        ];
        assert_eq!(
            command(Action::GateLimit, &values).unwrap(),
            r"slacktide gate limit --duty 20% --for 8h --reason 'year end; it'\''s '\''late'\'' $(x)' --config config/social.toml"
        );
    }

    #[test]
    fn order_value_like_an_option_stays_a_value() {
        let values = [(Field::Reason, "--json"), (Field::Config, "social.toml")];
        assert_eq!(
            command(Action::GateResume, &values).unwrap(),
            "slacktide gate resume --reason=--json --config social.toml"
        );
        let id = [
            (Field::Id, "--all"),
            (Field::Reason, "x"),
            (Field::Config, "c.toml"),
        ];
        assert_eq!(
            command(Action::QuarantineRetry, &id),
            Err(vec![(Field::Id, "order.error.name")])
        );
    }

    #[test]
    fn order_without_reason_is_not_prepared() {
        let values = [(Field::Reason, "  "), (Field::Config, "social.toml")];
        assert_eq!(
            command(Action::GatePause, &values),
            Err(vec![(Field::Reason, "order.error.missing")])
        );
        let hidden = [(Field::Reason, "a\u{202e}b"), (Field::Config, "c")];
        assert_eq!(
            command(Action::GatePause, &hidden),
            Err(vec![(Field::Reason, "order.error.invisible")])
        );
        let hold = command(Action::HoldAdd, &[(Field::Reason, "x"), (Field::Config, "c")]);
        assert_eq!(hold, Err(vec![(Field::Recipient, "order.error.hold")]));
    }

    #[test]
    fn order_fields_refuse_what_the_command_refuses() {
        for (field, wrong) in [
            (Field::Duty, "0"),
            (Field::Duty, "101%"),
            (Field::Duration, "2 h"),
            (Field::Duration, "h"),
            (Field::Duration, "2年"),
            (Field::Feed, "../x"),
            (Field::Id, "a b"),
        ] {
            assert!(field.fault(wrong).is_some(), "{field:?} {wrong}");
        }
    }

    #[test]
    fn order_is_of_the_party_that_gives_it() {
        assert!(Action::parse("gate-pause", PartyRole::Bureau).is_some());
        assert!(Action::parse("gate-pause", PartyRole::Recipient).is_none());
        assert_eq!(Action::of(PartyRole::Auditor).count(), 0);
    }
}
