//! PURE: the heads of all chains, which an auditor keeps between verifications.
//!
//! A truncated chain, or a whole exchange restored from an older copy, is consistent in itself. It lacks the head that an auditor
//! saw before.

use std::collections::BTreeMap;

use schemas::heads::RecordRef;
use schemas::manifest::Link;
use schemas::name::{Lane, PartyName};
use schemas::stream::Stream;
use schemas::subject::Subject;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::entries::Entries;
use crate::fault::{Fault, FaultClass};
use crate::orders::Orders;
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
    /// The last records of orders, by subject.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub orders: BTreeMap<String, RecordRef>,
}

impl KeptHeads {
    /// Takes the heads of chains that were read.
    #[must_use]
    pub fn of(
        lanes: &BTreeMap<Lane, Chain>,
        receipts: &BTreeMap<Lane, Receipts>,
        entries: &BTreeMap<String, Entries>,
        orders: &BTreeMap<PartyName, Orders>,
    ) -> Self {
        let chunk = |(lane, chain): (&Lane, &Chain)| Some((lane.to_string(), chain.last()?));
        let receipt = |(lane, receipts): (&Lane, &Receipts)| {
            let last = receipts.last()?;
            Some((lane.to_string(), (last.epoch, last.to)))
        };
        let entry = |(subject, chain): (&String, &Entries)| Some((subject.clone(), chain.last()?));
        let order = |(party, chain): (&PartyName, &Orders)| Some((order_subject(party), chain.last()?));
        Self {
            chunks: lanes.iter().filter_map(chunk).collect(),
            receipts: receipts.iter().filter_map(receipt).collect(),
            entries: entries.iter().filter_map(entry).collect(),
            orders: orders.iter().filter_map(order).collect(),
        }
    }

    /// Returns a fault for each of these heads that the chains no longer hold.
    #[must_use]
    pub fn missing(
        &self,
        lanes: &BTreeMap<Lane, Chain>,
        receipts: &BTreeMap<Lane, Receipts>,
        entries: &BTreeMap<String, Entries>,
        orders: &BTreeMap<PartyName, Orders>,
    ) -> Vec<Fault> {
        let fault = |subject: String, head: String, end: Option<String>| {
            let what = format!(
                "the kept head, {head}, is not in the stream ({}): the stream was truncated, restored from an older copy or \
                 rewritten",
                end.map_or("it is empty".to_owned(), |end| format!("the last is {end}"))
            );
            Fault::of_missing(None, subject, FaultClass::Chain, what)
        };
        let mut faults = Vec::new();
        for (name, link) in &self.chunks {
            let chain = named(lanes, name);
            if !chain.is_some_and(|chain| chain.reaches(*link)) {
                let position =
                    |link: Link| format!("chunk {}.{} with digest {}", link.epoch, link.number, link.digest);
                let end = chain.and_then(Chain::last).map(position);
                faults.push(fault(
                    format!("{}.{name}", Stream::Data.token()),
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
                    format!("{}.{name}", Stream::Receipts.token()),
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
        for (subject, mark) in &self.orders {
            let chain = orders.iter().find(|(party, _)| order_subject(party) == *subject);
            if !chain.is_some_and(|(_, chain)| chain.holds(*mark)) {
                let position =
                    |mark: RecordRef| format!("record {} with digest {}", mark.number, mark.digest);
                let end = chain.and_then(|(_, chain)| chain.last()).map(position);
                faults.push(fault(subject.clone(), position(*mark), end));
            }
        }
        faults
    }
}

fn order_subject(party: &PartyName) -> String {
    Subject::Control(party.clone()).to_string()
}

/// Returns the chain of a lane by the lane's name.
fn named<'a, T>(chains: &'a BTreeMap<Lane, T>, name: &str) -> Option<&'a T> {
    match format!("{}.{name}", Stream::Data.token()).parse() {
        Ok(Subject::Data(lane)) => chains.get(&lane),
        _ => None,
    }
}
