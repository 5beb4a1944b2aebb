//! Reads the states of the streams that a party may ask for.

use std::time::Duration;

use exchange::port::Stream;
use exchange::{Exchange, StreamState};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use schemas::name::PartyName;

use crate::access::Access;
use crate::records::growth::Sample;
use crate::site::PartyRole;

/// The time for all reads.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Concurrent reads.
const AT_ONCE: usize = 8;

/// The streams of a recipient that the bureau publishes in.
const FROM_BUREAU: [Stream; 5] = [
    Stream::Data,
    Stream::Approvals,
    Stream::Progress,
    Stream::Parts,
    Stream::Replies,
];

/// The streams that a recipient publishes in.
const FROM_RECIPIENT: [Stream; 4] = [
    Stream::Receipts,
    Stream::Requests,
    Stream::Cancels,
    Stream::Confirms,
];

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct StreamFacts {
    /// The states, sorted by name, each with its oldest sample.
    pub(crate) streams: Vec<(StreamState, Option<Sample>)>,
    /// The streams that could not be read, with the reason.
    pub(crate) failures: Vec<String>,
}

/// Reads the states of all streams that the session's party may ask for.
pub(crate) async fn read(access: &Access, now: Timestamp) -> StreamFacts {
    let read = states(access.exchange.as_ref(), access.role, &access.party);
    let (states, failures) = match tokio::time::timeout(TIMEOUT, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => (Vec::new(), vec![error.to_string()]),
        Err(_) => (
            Vec::new(),
            vec![format!(
                "the exchange did not answer within {} s",
                TIMEOUT.as_secs()
            )],
        ),
    };
    let growth = &access.console.records().growth;
    let streams = states.into_iter().map(|state| {
        let sample = growth.note(&state, now);
        (state, sample)
    });
    StreamFacts {
        streams: streams.collect(),
        failures,
    }
}

async fn states(
    exchange: &dyn Exchange,
    role: PartyRole,
    party: &PartyName,
) -> exchange::Result<(Vec<StreamState>, Vec<String>)> {
    let (recipients, parties) = match role {
        PartyRole::Recipient => (Vec::new(), Vec::new()),
        PartyRole::Bureau => (exchange.parties(Stream::Data).await?, Vec::new()),
        PartyRole::Auditor => (
            exchange.parties(Stream::Data).await?,
            exchange.parties(Stream::Audit).await?,
        ),
    };
    let asked = streams_of(role, party, &recipients, &parties);
    let answers = stream::iter(asked).map(|(stream, party)| async move {
        let state = exchange.stream_state(stream, &party).await;
        state.map_err(|error| format!("{}.{party}: {error}", stream.token()))
    });
    let answers: Vec<Result<StreamState, String>> = answers.buffered(AT_ONCE).collect().await;
    let (mut states, mut failures) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Ok(state) => states.push(state),
            Err(failure) => failures.push(failure),
        }
    }
    states.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((states, failures))
}

/// PURE: the streams that a party may ask for: those that it publishes in, and for the auditor those that it reads.
fn streams_of(
    role: PartyRole,
    party: &PartyName,
    recipients: &[PartyName],
    parties: &[PartyName],
) -> Vec<(Stream, PartyName)> {
    let of = |streams: &[Stream], party: &PartyName| {
        let party = party.clone();
        let pairs: Vec<(Stream, PartyName)> = streams.iter().map(|stream| (*stream, party.clone())).collect();
        pairs
    };
    match role {
        PartyRole::Recipient => {
            let own = of(&FROM_RECIPIENT, party);
            own.into_iter()
                .chain(of(&[Stream::Audit, Stream::Control], party))
                .collect()
        }
        PartyRole::Bureau => {
            let exchanged = recipients
                .iter()
                .flat_map(|recipient| of(&FROM_BUREAU, recipient));
            exchanged
                .chain(of(&[Stream::Audit, Stream::Control], party))
                .collect()
        }
        PartyRole::Auditor => {
            let exchanged = recipients.iter().flat_map(|recipient| {
                let pairs = of(&FROM_BUREAU, recipient);
                pairs.into_iter().chain(of(&FROM_RECIPIENT, recipient))
            });
            let audit = parties.iter().map(|party| (Stream::Audit, party.clone()));
            exchanged.chain(audit).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PartyName {
        text.parse().unwrap()
    }

    #[test]
    fn streams_of_a_party_are_those_it_publishes_in() {
        let recipients = [name("insurer-a"), name("insurer-b")];
        let all = [name("bureau"), name("insurer-a"), name("insurer-b")];
        let count = |role, party: &str| streams_of(role, &name(party), &recipients, &all).len();
        assert_eq!(count(PartyRole::Recipient, "insurer-a"), 4 + 2);
        assert_eq!(count(PartyRole::Bureau, "bureau"), 2 * 5 + 2);
        assert_eq!(count(PartyRole::Auditor, "auditor"), 2 * 9 + 3);
        let own = streams_of(PartyRole::Recipient, &name("insurer-a"), &recipients, &all);
        assert!(own.iter().all(|(_, party)| *party == name("insurer-a")));
        assert!(!own.iter().any(|(stream, _)| *stream == Stream::Data));
    }
}
