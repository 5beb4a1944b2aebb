//! PURE: the heads of all chains, which an auditor keeps between verifications.
//!
//! A truncated chain, or a whole exchange restored from an older copy, is consistent in itself. It lacks the head that an auditor
//! saw before.

use std::collections::BTreeMap;

use schemas::heads::RecordRef;
use schemas::manifest::Link;
use schemas::name::Lane;
use schemas::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::entries::Entries;
use crate::fault::Fault;
use crate::receipts::Receipts;

/// The last message of each chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptHeads {
    /// The last chunks, by lane.
    pub chunks: BTreeMap<String, Link>,
    /// The frontier of the last receipts, by lane: epoch and number.
    pub receipts: BTreeMap<String, (u32, u64)>,
    /// The last audit entries, by subject.
    pub entries: BTreeMap<String, RecordRef>,
}

impl KeptHeads {
    /// Takes the heads of chains that were read.
    #[must_use]
    pub fn of(
        lanes: &BTreeMap<Lane, Chain>,
        receipts: &BTreeMap<Lane, Receipts>,
        entries: &BTreeMap<String, Entries>,
    ) -> Self {
        let chunk = |(lane, chain): (&Lane, &Chain)| Some((lane.to_string(), chain.last()?));
        let receipt = |(lane, receipts): (&Lane, &Receipts)| {
            let last = receipts.last()?;
            Some((lane.to_string(), (last.epoch, last.to)))
        };
        let entry = |(subject, chain): (&String, &Entries)| Some((subject.clone(), chain.last()?));
        Self {
            chunks: lanes.iter().filter_map(chunk).collect(),
            receipts: receipts.iter().filter_map(receipt).collect(),
            entries: entries.iter().filter_map(entry).collect(),
        }
    }

    /// Returns a fault for each of these heads that the chains no longer hold.
    #[must_use]
    pub fn missing(
        &self,
        lanes: &BTreeMap<Lane, Chain>,
        receipts: &BTreeMap<Lane, Receipts>,
        entries: &BTreeMap<String, Entries>,
    ) -> Vec<Fault> {
        let fault = |subject: String, head: String, end: Option<String>| Fault {
            subject,
            sequence: 0,
            chunk: None,
            what: format!(
                "the kept head, {head}, is not in the stream ({}): the stream was truncated, restored from an older copy or \
                 rewritten",
                end.map_or("it is empty".to_owned(), |end| format!("the last is {end}"))
            ),
        };
        let mut faults = Vec::new();
        for (name, link) in &self.chunks {
            let chain = named(lanes, name);
            if !chain.is_some_and(|chain| chain.reaches(*link)) {
                let position =
                    |link: Link| format!("chunk {}.{} with digest {}", link.epoch, link.number, link.digest);
                let end = chain.and_then(Chain::last).map(position);
                faults.push(fault(
                    format!("{}.{name}", exchange::port::Stream::Data.token()),
                    position(*link),
                    end,
                ));
            }
        }
        for (name, kept) in &self.receipts {
            let last = named(receipts, name).and_then(Receipts::last);
            if last.is_none_or(|last| (last.epoch, last.to) < *kept) {
                let position = |(epoch, to): (u32, u64)| format!("a receipt up to {epoch}.{to}");
                let end = last.map(|last| position((last.epoch, last.to)));
                faults.push(fault(
                    format!("{}.{name}", exchange::port::Stream::Receipts.token()),
                    position(*kept),
                    end,
                ));
            }
        }
        for (subject, mark) in &self.entries {
            let chain = entries.get(subject);
            if !chain.is_some_and(|chain| chain.holds(*mark)) {
                let position = |mark: RecordRef| format!("entry {} with digest {}", mark.number, mark.digest);
                let end = chain.and_then(Entries::last).map(position);
                faults.push(fault(subject.clone(), position(*mark), end));
            }
        }
        faults
    }
}

/// Returns the chain of a lane by the lane's name.
fn named<'a, T>(chains: &'a BTreeMap<Lane, T>, name: &str) -> Option<&'a T> {
    match format!("{}.{name}", exchange::port::Stream::Data.token()).parse() {
        Ok(Subject::Data(lane)) => chains.get(&lane),
        _ => None,
    }
}
