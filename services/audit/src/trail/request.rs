//! The trail of a request: every message about it, and whether they belong together.

use std::ops::ControlFlow;

use exchange::AuditExchange;
use exchange::port::{ReadFrom, Stream};
use schemas::digest::Digest;
use schemas::name::PartyName;
use schemas::request::RequestId;
use verification::Trust;
use verification::examine::Content;

use super::describe_end;
use super::message::TrailMessage;
use crate::ends::find_ends;
use crate::error::AuditError;
use crate::replay::OF_REQUESTS;
use crate::selection::Selection;
use crate::walk::walk;

/// Everything about a request.
#[derive(Debug, Default)]
pub struct RequestTrail {
    /// The messages, in the order in which they were stored.
    pub messages: Vec<TrailMessage>,
    /// What contradicts another message.
    pub contradictions: Vec<String>,
    /// What the trail does not prove.
    pub not_covered: Vec<String>,
}

/// Reads everything about a request: its own streams, and the entries of all audit chains that name it.
///
/// # Errors
/// [`AuditError`] from the exchange.
pub async fn request_trail(
    exchange: &dyn AuditExchange,
    trust: &Trust,
    id: &RequestId,
    parties: &[PartyName],
) -> Result<RequestTrail, AuditError> {
    let mut trail = RequestTrail::default();
    let kinds: Vec<Stream> = OF_REQUESTS.into_iter().chain([Stream::Audit]).collect();
    let name = id.to_string();
    let mut ends = find_ends(exchange, &kinds, parties, &mut Vec::new()).await?;
    // Entries about a request are in the chains of the bureau, too.
    if !parties.is_empty() {
        ends.retain(|end| end.stream.stream != Stream::Audit);
        ends.extend(find_ends(exchange, &[Stream::Audit], &[], &mut Vec::new()).await?);
    }
    for end in ends {
        let selection = Selection {
            request: Some(id.clone()),
            ..Selection::all(end.stream.stream)
        };
        let filter = selection.filter(&end.stream.party);
        let ended = walk(exchange, &end, &filter, ReadFrom::Sequence(1), |stored| {
            let message = TrailMessage::open(trust, &end.stream, &stored);
            let is_wanted = match &message.content {
                Some(Content::Entry(entry)) => entry.detail.values().any(|value| value.contains(&name)),
                _ => end.stream.stream != Stream::Audit,
            };
            if is_wanted {
                trail.messages.push(message);
            }
            Ok(ControlFlow::Continue(()))
        })
        .await?;
        trail.not_covered.extend(describe_end(&end.stream, ended));
        if trust.keys(end.stream.stream).is_empty() {
            let list = Trust::list(end.stream.stream);
            let what = format!("{}: no key is trusted under {list}", end.stream);
            trail.not_covered.push(what);
        }
    }
    let order = |message: &TrailMessage| (message.stored_at, message.stream.clone(), message.sequence);
    trail.messages.sort_by_key(order);
    trail.contradictions = contradictions(&trail.messages);
    Ok(trail)
}

/// PURE: returns what does not belong together: messages that name another request or reply, parts that the reply does not
/// count, and a reply whose parts are missing.
#[must_use]
pub fn contradictions(messages: &[TrailMessage]) -> Vec<String> {
    let mut found = Vec::new();
    let digest_of = |wanted: fn(&Content) -> bool| {
        let mut of_kind = messages
            .iter()
            .filter(|message| message.content.as_ref().is_some_and(wanted));
        of_kind.next().and_then(|message| message.digest)
    };
    let request = digest_of(|content| matches!(content, Content::Request(_)));
    let reply = digest_of(|content| matches!(content, Content::Reply(_)));
    for message in messages {
        let (named, real, what) = match &message.content {
            Some(Content::Cancel(cancel)) => (cancel.request, request, "another request"),
            Some(Content::Approval(approval)) => (approval.request, request, "another request"),
            Some(Content::Progress(progress)) => (progress.request, request, "another request"),
            Some(Content::Part(part, _)) => (part.request, request, "another request"),
            Some(Content::Reply(reply)) => (reply.request, request, "another request"),
            Some(Content::Confirm(confirm)) => (confirm.reply, reply, "another reply"),
            _ => continue,
        };
        if real != Some(named) {
            let real = real.map_or("missing".to_owned(), |real| real.to_string());
            found.push(format!(
                "{} at sequence {} names {what}: {named}, which is {real} here",
                message.subject, message.sequence
            ));
        }
    }
    for message in messages {
        if let Some(Content::Reply(reply)) = &message.content {
            found.extend(missing_parts(messages, reply.outcome.parts()));
        }
    }
    found
}

fn missing_parts<'a>(messages: &[TrailMessage], parts: &'a [Digest]) -> impl Iterator<Item = String> + 'a {
    let stored: Vec<Digest> = messages
        .iter()
        .filter(|message| matches!(message.content, Some(Content::Part(..))))
        .filter_map(|message| message.digest)
        .collect();
    let missing = parts.iter().filter(move |digest| !stored.contains(digest));
    missing.map(|digest| format!("the reply names the part {digest}, which the stream does not hold"))
}
