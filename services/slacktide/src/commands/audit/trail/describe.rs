//! PURE: a message of a trail in words, without a value of a row and without the values of arguments.

use schemas::approval::Decision;
use schemas::control::{Action, AnyAction, Control};
use schemas::digest::Digest;
use schemas::manifest::Content as Rows;
use schemas::reply::{Outcome, Reply};
use schemas::request::Request;
use verification::examine::Content;

/// A message in words.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// The kind of message.
    pub(super) kind: &'static str,
    /// The recipient, where there is one.
    pub(super) recipient: Option<String>,
    /// The feed or the kind of the rows.
    pub(super) of: Option<String>,
    /// The request, where there is one.
    pub(super) request: Option<String>,
    /// What it states.
    pub(super) summary: String,
    /// The basis on which it was sent or asked.
    pub(super) basis: Option<String>,
    /// The columns that it carries.
    pub(super) columns: Vec<String>,
    /// All rows that it carries.
    pub(super) rows: Option<u64>,
    /// The digest of the definition of its rows.
    pub(super) definition: Option<Digest>,
}

/// Describes a message; `None` if it cannot be read.
pub(super) fn describe(content: Option<&Content>) -> Description {
    let Some(content) = content else {
        return Description {
            kind: "unreadable",
            ..Description::default()
        };
    };
    match content {
        Content::Chunk(chunk, _) => Description {
            recipient: Some(chunk.recipient.to_string()),
            of: Some(chunk.feed.to_string()),
            summary: format!("chunk {}.{}", chunk.epoch, chunk.number),
            basis: Some(format!(
                "feed {}, definition {}",
                chunk.feed, chunk.content.definition
            )),
            ..rows("chunk", &chunk.content)
        },
        Content::Part(part, _) => Description {
            recipient: Some(part.recipient.to_string()),
            of: Some(part.content.schema.name.clone()),
            request: Some(part.id.to_string()),
            summary: format!("attempt {}, part {}", part.attempt, part.number),
            basis: Some(format!(
                "request {}, definition {}",
                part.id, part.content.definition
            )),
            ..rows("part", &part.content)
        },
        Content::Receipt(receipt) => Description {
            kind: "receipt",
            recipient: Some(receipt.lane().recipient.to_string()),
            summary: format!("stored up to chunk {}.{}", receipt.epoch, receipt.to),
            ..Description::default()
        },
        Content::Request(request) => describe_request(request),
        Content::Cancel(cancel) => Description {
            kind: "cancellation",
            recipient: Some(cancel.recipient.to_string()),
            request: Some(cancel.id.to_string()),
            summary: format!("cancelled: {}", cancel.reason),
            ..Description::default()
        },
        Content::Approval(approval) => Description {
            kind: "decision",
            recipient: Some(approval.recipient.to_string()),
            request: Some(approval.id.to_string()),
            summary: format!(
                "{} by {}: {}",
                match approval.decision {
                    Decision::Grant => "granted",
                    Decision::Refuse => "refused",
                },
                approval.officer,
                approval.reason
            ),
            ..Description::default()
        },
        Content::Progress(progress) => Description {
            kind: "progress",
            recipient: Some(progress.recipient.to_string()),
            request: Some(progress.id.to_string()),
            summary: "the last progress of the request".to_owned(),
            ..Description::default()
        },
        Content::Reply(reply) => describe_reply(reply),
        Content::Confirm(confirm) => Description {
            kind: "confirmation",
            recipient: Some(confirm.recipient.to_string()),
            request: Some(confirm.id.to_string()),
            summary: format!(
                "{} rows stored, {} in quarantine, delivered {:.0}",
                confirm.rows, confirm.quarantined, confirm.delivered_at
            ),
            ..Description::default()
        },
        Content::Entry(entry) => Description {
            kind: "audit_entry",
            summary: format!("{} by {}: {}", entry.action, entry.actor, entry.reason),
            ..Description::default()
        },
        Content::Order(record) => describe_order(record),
    }
}

fn rows(kind: &'static str, content: &Rows) -> Description {
    Description {
        kind,
        columns: content
            .schema
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        rows: Some(content.totals.rows),
        definition: Some(content.definition),
        ..Description::default()
    }
}

fn describe_request(request: &Request) -> Description {
    let arguments: Vec<&str> = request.arguments.keys().map(String::as_str).collect();
    Description {
        kind: "request",
        recipient: Some(request.recipient.to_string()),
        of: Some(request.kind.clone()),
        request: Some(request.id.to_string()),
        summary: format!(
            "{} filed by {} with {}",
            request.kind,
            request.filed_by,
            arguments.join(", ")
        ),
        basis: Some(format!(
            "purpose {}, legal basis {}",
            request.purpose, request.basis
        )),
        ..Description::default()
    }
}

fn describe_reply(reply: &Reply) -> Description {
    let withheld = match reply.withheld {
        0 => String::new(),
        rows => format!(", {rows} rows withheld"),
    };
    let detail = match &reply.outcome {
        Outcome::Partial { reason, .. } | Outcome::Failed { reason } => format!(": {reason}"),
        Outcome::Refused { code, reason, .. } => format!(" ({code}): {reason}"),
        _ => String::new(),
    };
    Description {
        kind: "reply",
        recipient: Some(reply.recipient.to_string()),
        request: Some(reply.id.to_string()),
        summary: format!("{}{withheld}{detail}", reply.outcome.name()),
        rows: Some(reply.outcome.rows()),
        definition: reply.definition,
        ..Description::default()
    }
}

fn describe_order(record: &Control) -> Description {
    let order = &record.newest;
    let (recipients, feeds) = match &order.action {
        AnyAction::Known(Action::Hold(hold)) => {
            let recipients: Vec<String> = hold.recipients.iter().map(ToString::to_string).collect();
            let feeds: Vec<String> = hold.feeds.iter().map(ToString::to_string).collect();
            (recipients, feeds)
        }
        _ => (Vec::new(), Vec::new()),
    };
    let list = |names: &[String]| {
        if names.is_empty() {
            "all".to_owned()
        } else {
            names.join(", ")
        }
    };
    let covers = match order.action.kind() {
        "hold" => format!(" for {}, feeds {}", list(&recipients), list(&feeds)),
        _ => String::new(),
    };
    Description {
        kind: "order",
        recipient: (!recipients.is_empty()).then(|| recipients.join(", ")),
        summary: format!(
            "{} {} by {}{covers}: {}",
            order.action.kind(),
            order.scope,
            order.actor,
            order.reason
        ),
        ..Description::default()
    }
}
