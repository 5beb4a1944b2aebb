//! PURE: the heads of all chains, as an auditor keeps them from one verification to the next.
//!
//! A chain that was cut off, or a whole exchange that was restored from an older copy, agrees with itself. What it lacks is
//! the head that an auditor saw before.

use std::collections::BTreeMap;

use schemas::heads::Mark;
use schemas::manifest::Link;
use schemas::name::Lane;
use schemas::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::entries::Entries;
use crate::receipts::Receipts;
use crate::verify::Fault;

/// The last message of each chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptHeads {
    /// Last chunks, by lane.
    pub chunks: BTreeMap<String, Link>,
    /// How far the last receipts go, by lane: epoch and number.
    pub receipts: BTreeMap<String, (u32, u64)>,
    /// Last audit entries, by subject.
    pub entries: BTreeMap<String, Mark>,
}

impl KeptHeads {
    /// The heads of chains as they were read.
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

    /// What of these heads the chains do not hold any more.
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
                "the head that was kept, {head}, does not stand here ({}): the stream was cut off, restored from an older copy \
                 or rewritten",
                end.map_or("there is nothing".to_owned(), |end| format!("the last is {end}"))
            ),
        };
        let mut faults = Vec::new();
        for (name, link) in &self.chunks {
            let chain = named(lanes, name);
            if !chain.is_some_and(|chain| chain.reaches(*link)) {
                let place =
                    |link: Link| format!("chunk {}.{} with digest {}", link.epoch, link.number, link.digest);
                let end = chain.and_then(Chain::last).map(place);
                faults.push(fault(
                    format!("{}.{name}", exchange::port::Stream::Data.token()),
                    place(*link),
                    end,
                ));
            }
        }
        for (name, kept) in &self.receipts {
            let last = named(receipts, name).and_then(Receipts::last);
            if last.is_none_or(|last| (last.epoch, last.to) < *kept) {
                let place = |(epoch, to): (u32, u64)| format!("a receipt up to {epoch}.{to}");
                let end = last.map(|last| place((last.epoch, last.to)));
                faults.push(fault(
                    format!("{}.{name}", exchange::port::Stream::Receipts.token()),
                    place(*kept),
                    end,
                ));
            }
        }
        for (subject, mark) in &self.entries {
            let chain = entries.get(subject);
            if !chain.is_some_and(|chain| chain.holds(*mark)) {
                let place = |mark: Mark| format!("entry {} with digest {}", mark.number, mark.digest);
                let end = chain.and_then(Entries::last).map(place);
                faults.push(fault(subject.clone(), place(*mark), end));
            }
        }
        faults
    }
}

/// The chain of a lane, by the lane's name.
fn named<'a, T>(chains: &'a BTreeMap<Lane, T>, name: &str) -> Option<&'a T> {
    match format!("{}.{name}", exchange::port::Stream::Data.token()).parse() {
        Ok(Subject::Data(lane)) => chains.get(&lane),
        _ => None,
    }
}
