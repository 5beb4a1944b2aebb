//! Builds and parses subjects.

use std::fmt;

use crate::name::{FeedName, Lane, OfficerName, PartyName, RecipientName, SourceName};
use crate::request::RequestId;

/// A subject of the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `data.<recipient>.<feed>`: chunks.
    Data(Lane),
    /// `receipt.<recipient>.<feed>`: receipts.
    Receipt(Lane),
    /// `request.<recipient>.<id>`: one data request.
    Request(RecipientName, RequestId),
    /// `cancel.<recipient>.<id>`: its cancellation.
    Cancel(RecipientName, RequestId),
    /// `reply.<recipient>.<id>`: its one final outcome.
    Reply(RecipientName, RequestId),
    /// `part.<recipient>.<id>.<attempt>.<number>`: a part of its answer; both count from 1.
    Part(RecipientName, RequestId, u32, u32),
    /// `progress.<recipient>.<id>`: its progress until the reply.
    Progress(RecipientName, RequestId),
    /// `approval.<recipient>.<id>.<officer>`: one officer's decision.
    Approval(RecipientName, RequestId, OfficerName),
    /// `confirm.<recipient>.<id>`: the recipient's confirmation that the reply is stored.
    Confirm(RecipientName, RequestId),
    /// `audit.<party>.<writer>`: a chain of audit entries per writer.
    Audit(PartyName, PartyName),
    /// `status.<party>.<writer>`: the last status of each of its agents.
    Status(PartyName, PartyName),
    /// `watch.<party>`: the note that an operator watches its agents.
    Watch(PartyName),
    /// `lease.<source>`: which process may read that source.
    Lease(SourceName),
    /// `control.<party>`: its operators' orders.
    Control(PartyName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(lane) => write!(f, "data.{lane}"),
            Self::Receipt(lane) => write!(f, "receipt.{lane}"),
            Self::Request(recipient, id) => write!(f, "request.{recipient}.{id}"),
            Self::Cancel(recipient, id) => write!(f, "cancel.{recipient}.{id}"),
            Self::Reply(recipient, id) => write!(f, "reply.{recipient}.{id}"),
            Self::Part(recipient, id, attempt, number) => {
                write!(f, "part.{recipient}.{id}.{attempt}.{number}")
            }
            Self::Progress(recipient, id) => write!(f, "progress.{recipient}.{id}"),
            Self::Approval(recipient, id, officer) => write!(f, "approval.{recipient}.{id}.{officer}"),
            Self::Confirm(recipient, id) => write!(f, "confirm.{recipient}.{id}"),
            Self::Audit(party, writer) => write!(f, "audit.{party}.{writer}"),
            Self::Status(party, writer) => write!(f, "status.{party}.{writer}"),
            Self::Watch(party) => write!(f, "watch.{party}"),
            Self::Lease(source) => write!(f, "lease.{source}"),
            Self::Control(party) => write!(f, "control.{party}"),
        }
    }
}

/// An unknown subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "subject {0:?} is not one of data|receipt|request|cancel|reply|part|progress|approval|confirm|audit|status|watch|lease|control with its tokens"
)]
pub struct BadSubject(pub String);

impl std::str::FromStr for Subject {
    type Err = BadSubject;

    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let bad = || BadSubject(text.chars().take(200).collect());
        let tokens: Vec<&str> = text.split('.').collect();
        let lane = |recipient: &str, feed: &str| -> Result<Lane, BadSubject> {
            Ok(Lane {
                recipient: RecipientName::new(recipient).map_err(|_| bad())?,
                feed: FeedName::new(feed).map_err(|_| bad())?,
            })
        };
        let recipient = |text: &str| RecipientName::new(text).map_err(|_| bad());
        let id = |text: &str| text.parse::<RequestId>().map_err(|_| bad());
        match tokens.as_slice() {
            ["data", r, f] => Ok(Self::Data(lane(r, f)?)),
            ["receipt", r, f] => Ok(Self::Receipt(lane(r, f)?)),
            ["request", r, i] => Ok(Self::Request(recipient(r)?, id(i)?)),
            ["cancel", r, i] => Ok(Self::Cancel(recipient(r)?, id(i)?)),
            ["reply", r, i] => Ok(Self::Reply(recipient(r)?, id(i)?)),
            ["part", r, i, a, n] => Ok(Self::Part(
                recipient(r)?,
                id(i)?,
                parse_count(a).ok_or_else(bad)?,
                parse_count(n).ok_or_else(bad)?,
            )),
            ["progress", r, i] => Ok(Self::Progress(recipient(r)?, id(i)?)),
            ["approval", r, i, o] => Ok(Self::Approval(
                recipient(r)?,
                id(i)?,
                OfficerName::new(*o).map_err(|_| bad())?,
            )),
            ["confirm", r, i] => Ok(Self::Confirm(recipient(r)?, id(i)?)),
            ["audit", p, w] => Ok(Self::Audit(
                PartyName::new(*p).map_err(|_| bad())?,
                PartyName::new(*w).map_err(|_| bad())?,
            )),
            ["status", p, w] => Ok(Self::Status(
                PartyName::new(*p).map_err(|_| bad())?,
                PartyName::new(*w).map_err(|_| bad())?,
            )),
            ["watch", p] => Ok(Self::Watch(PartyName::new(*p).map_err(|_| bad())?)),
            ["control", p] => Ok(Self::Control(PartyName::new(*p).map_err(|_| bad())?)),
            ["lease", s] => Ok(Self::Lease(SourceName::new(*s).map_err(|_| bad())?)),
            _ => Err(bad()),
        }
    }
}

/// Parses a number above 0 in canonical form, so that no two subjects mean the same message.
fn parse_count(token: &str) -> Option<u32> {
    let number: u32 = token.parse().ok()?;
    (number > 0 && number.to_string() == token).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_round_trips() {
        for text in [
            "data.insurer-a.setl",
            "receipt.insurer-a.setl",
            "lease.core",
            "control.bureau",
            "audit.bureau.social",
            "status.bureau.social",
            "watch.bureau",
            "part.insurer-a.20260131-abcdefgh.1.4294967295",
            "progress.insurer-a.20260131-abcdefgh",
            "approval.insurer-a.20260131-abcdefgh.li_na",
            "confirm.insurer-a.20260131-abcdefgh",
        ] {
            assert_eq!(
                text.parse::<Subject>().map(|s| s.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn subject_wildcards_and_missing_tokens_are_refused() {
        for text in [
            "data.*.setl",
            "data.>",
            "data.a",
            "data.a.b.c",
            "",
            "other.a.b",
            "data..b",
            "part.insurer-a.20260131-abcdefgh.1",
            "part.insurer-a.20260131-abcdefgh.0.1",
            "part.insurer-a.20260131-abcdefgh.01.1",
            "part.insurer-a.20260131-abcdefgh.1.+2",
            "part.insurer-a.20260131-abcdefgh.1.4294967296",
            "approval.insurer-a.20260131-abcdefgh",
            "approval.insurer-a.20260131-abcdefgh.Li Na",
            "confirm.insurer-a.20260131-abcdefgh.1",
            "status.bureau",
            "status.bureau.social.x",
            "watch.bureau.social",
        ] {
            assert!(text.parse::<Subject>().is_err(), "{text:?} passed");
        }
    }
}
