//! Replay of the exchange's streams.

use axum::extract::State;
use exchange::port::{ReadFrom, Stream, filter_party, missing_party};
use exchange::stream_state::StreamState;
use jiff::Timestamp;
use schemas::name::PartyName;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::interface::body;
use web::interface::path::{self, stream_from_name};
use web::interface::problem::ProblemKind;

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::input::{NoParameters, Parameters, PathOf};
use crate::openapi::responses::{Json, Messages};
use crate::rejection::{Answer, Rejection};
use crate::respond;

/// The maximum length of a filter; the longest subject of the exchange is shorter.
pub(crate) const MAX_FILTER: usize = 300;

/// Returns the routes of this group.
pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(list_parties))
        .routes(routes!(read_state))
        .routes(routes!(read_stream))
}

#[derive(Debug, Deserialize)]
struct StreamPath {
    stream: String,
}

impl StreamPath {
    fn stream(&self) -> Result<Stream, Rejection> {
        stream_of(&self.stream)
    }
}

fn stream_of(name: &str) -> Result<Stream, Rejection> {
    stream_from_name(name).ok_or_else(|| {
        let detail = "no such stream; its name is the first token of its subjects, such as data or receipt";
        Rejection::new(ProblemKind::NotFound, detail)
    })
}

/// List the parties that have a stream
#[utoipa::path(get, path = path::STREAM_PARTIES, tag = "Streams", responses(Json<body::Parties>))]
async fn list_parties(caller: Caller, path: PathOf<StreamPath>, _: Parameters<NoParameters>) -> Answer {
    let parties = caller.0.exchange.parties(path.0.stream()?).await?;
    respond::json(&body::Parties { parties })
}

#[derive(Debug, Deserialize)]
struct StatePath {
    stream: String,
    party: PartyName,
}

/// Read the state of a stream: what it holds, its limit, and its replicas
///
/// A party may ask for the streams that it publishes in, the auditor for the streams that it reads.
#[utoipa::path(get, path = path::STREAM_STATE, tag = "Streams", responses(Json<StreamState>))]
async fn read_state(caller: Caller, path: PathOf<StatePath>, _: Parameters<NoParameters>) -> Answer {
    let StatePath { stream, party } = &path.0;
    caller.may_name(party.as_str())?;
    let state = caller.0.exchange.stream_state(stream_of(stream)?, party).await?;
    respond::json(&state)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// A subject, with `*` and `>`; its second token is the party.
    filter: String,
    /// Read from this sequence on; 0 if neither `from` nor `from_time` is given.
    from: Option<u64>,
    /// Read what was stored at this time or later (RFC 3339).
    #[param(value_type = Option<String>)]
    from_time: Option<Timestamp>,
    /// The maximum number of messages; a larger number than the gateway's limit is lowered to it.
    max: Option<usize>,
}

/// Read messages of a stream
///
/// The next page begins at the last sequence plus one. An empty sequence is the current end.
#[utoipa::path(get, path = path::STREAM_MESSAGES, tag = "Streams", params(Replay), responses(Messages))]
async fn read_stream(
    caller: Caller,
    path: PathOf<StreamPath>,
    query: Parameters<Replay>,
    State(gateway): State<Gateway>,
) -> Answer {
    let stream = path.0.stream()?;
    let Replay {
        filter,
        from,
        from_time,
        max,
    } = query.0;
    let party = check_filter(stream, &filter)?;
    caller.may_name(&party)?;
    let from = match (from, from_time) {
        (Some(_), Some(_)) => {
            return Err(Rejection::bad_request("give either from or from_time, not both"));
        }
        (from, None) => ReadFrom::Sequence(from.unwrap_or_default()),
        (None, Some(time)) => ReadFrom::Time(time),
    };
    let limit = gateway.limits().max_messages;
    let max = max.unwrap_or(limit).min(limit);
    let stored = caller.0.exchange.read(stream, from, &filter, max).await?;
    respond::page(stored)
}

/// PURE: checks that a filter selects subjects of the stream, and returns the party in it.
fn check_filter(stream: Stream, filter: &str) -> Result<String, Rejection> {
    let is_token = |token: &str| {
        let is_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
        matches!(token, "*" | ">") || (!token.is_empty() && token.bytes().all(is_name))
    };
    let tokens: Vec<&str> = filter.split('.').collect();
    let is_valid = filter.len() <= MAX_FILTER
        && tokens.first() == Some(&stream.token())
        && tokens.iter().all(|token| is_token(token))
        && tokens.iter().rev().skip(1).all(|token| *token != ">");
    if !is_valid {
        let token = stream.token();
        let detail = format!("filter is not a subject of this stream, such as {token}.insurer-a.>");
        return Err(Rejection::bad_request(detail));
    }
    match filter_party(filter) {
        Some(party) => Ok(party.to_string()),
        None => Err(Rejection::bad_request(missing_party(stream, filter))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_filter_names_the_stream_and_a_party() {
        for filter in ["data.insurer-a.>", "data.insurer-a.*", "data.insurer-a.claims"] {
            assert_eq!(
                check_filter(Stream::Data, filter).as_deref(),
                Ok("insurer-a"),
                "{filter}"
            );
        }
        for filter in [
            "",
            "data",
            "data.",
            "data.*",
            "data.>",
            "data.*.claims",
            "receipt.insurer-a.>",
            "data.insurer-a.>.claims",
            "data.insurer-a.cla ims",
            "data.insurer-a.cla*ms",
            "data..claims",
            "DATA.insurer-a.claims",
            &format!("data.insurer-a.{}", "x".repeat(400)),
        ] {
            assert!(check_filter(Stream::Data, filter).is_err(), "{filter}");
        }
    }
}
