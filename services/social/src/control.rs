//! Obeys the orders of operators: reads them each second, verifies, folds, and tells the gate and the lanes.
//!
//! The gate stays shut until they were read once, for it might be paused. Afterwards the orders
//! last known stay in force while the exchange cannot be reached or holds something that no
//! operator signed; a time that is over ends an order by our own clock.
//!
//! Orders that are behind what something signed names ([`crate::witness`]) shut the gate and hold every lane: a pause or a
//! hold may be lost.

mod known;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use gate::{Gate, Orders, ReasonKind};
use jiff::Timestamp;
use runtime::said::Said;
use schemas::control;
use schemas::heads::Mark;
use schemas::name::{Lane, PartyName, SourceName};
use schemas::origin::Origin;
use schemas::sign::{PublicKey, SigningKey};
use schemas::unreadable::Unreadable;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::act::{self, Act, append};
use crate::control_head::{self, Head};
use crate::epoch::Signatory;
use crate::high_water::HighWater;
use crate::notice;
use crate::tail::Trust;
use crate::witness::{Named, Witness, named_by_lane, named_by_lease};

use known::{Known, Trouble};

/// How often orders are looked for.
const EACH: Duration = Duration::from_secs(1);
/// How long one look, or one entry, may take.
const BOUND: Duration = Duration::from_secs(2);
/// Entries that wait for an exchange that does not answer; older ones are dropped, and it is said.
const WAITING: usize = 256;

/// What obeying needs.
pub struct ControlParts {
    /// Where orders come from.
    pub exchange: Arc<dyn Exchange>,
    /// What obeys.
    pub gate: Gate,
    /// Where lanes learn of holds, and which control records are named.
    pub witness: Witness,
    /// All lanes: their last chunks name control records.
    pub lanes: Vec<Lane>,
    /// Keys of other publishers of these lanes; our own is always trusted.
    pub publishers: Vec<PublicKey>,
    /// Where chunks have to belong.
    pub origin: Origin,
    /// The local file that keeps the newest control record; none: none is kept.
    pub high_water: Option<HighWater>,
    /// Whose orders count.
    pub party: PartyName,
    /// The source that the gate stands before.
    pub source: SourceName,
    /// Keys that give orders; our own is always trusted.
    pub operators: Vec<PublicKey>,
    /// Signs audit entries.
    pub key: Arc<SigningKey>,
    /// One life of one process.
    pub instance: String,
}

/// Obeys until the token is cancelled. Start the gate under [`Orders::unread`].
#[must_use]
pub fn keep(parts: ControlParts, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut keeper = Keeper::new(parts);
        keeper.chains = keeper.all_chains();
        let mut tick = tokio::time::interval(EACH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = keeper.look() => {}
                () = stop.cancelled() => return,
            }
        }
    })
}

struct Keeper {
    parts: ControlParts,
    trusted: Vec<PublicKey>,
    publishers: Trust,
    scope: String,
    known: Known,
    /// A record is lost, as far as was read.
    is_behind: bool,
    /// What names control records and was not read yet.
    unread: Vec<Place>,
    /// Audit chains whose last entries were not read yet.
    chains: Vec<PartyName>,
    waiting: VecDeque<Act>,
    relief: Option<String>,
    said: Said,
}

/// A place that names a control record.
#[derive(Debug, Clone)]
enum Place {
    Lane(Lane),
    Lease,
    File,
}

impl Keeper {
    fn new(parts: ControlParts) -> Self {
        let own = parts.key.public().clone();
        let trusted = [parts.operators.clone(), vec![own.clone()]].concat();
        let publishers = Trust {
            chunks: [parts.publishers.clone(), vec![own]].concat(),
            here: parts.origin.clone(),
            ..Trust::default()
        };
        let scope = control::gate_of(&parts.source);
        let lanes = parts.lanes.iter().cloned().map(Place::Lane);
        Self {
            unread: lanes.chain([Place::Lease, Place::File]).collect(),
            chains: Vec::new(),
            trusted,
            publishers,
            scope,
            known: Known::default(),
            is_behind: false,
            waiting: VecDeque::new(),
            relief: None,
            said: Said::default(),
            parts,
        }
    }

    /// The audit chains of agents that chunks of these lanes name.
    fn all_chains(&self) -> Vec<PartyName> {
        let recipients: BTreeSet<_> = self.parts.lanes.iter().map(|lane| &lane.recipient).collect();
        let chains = recipients.into_iter().filter_map(notice::writer);
        chains.chain(PartyName::new("gate").ok()).collect()
    }

    async fn look(&mut self) {
        let trouble = match self.read_places().await {
            Ok(()) => self.read_orders().await,
            Err(why) => Some(Trouble::Unread(why)),
        };
        let refused = match &trouble {
            Some(Trouble::Unread(why) | Trouble::Refused(why) | Trouble::Behind(why)) => Some(why.clone()),
            None => None,
        };
        match &refused {
            Some(why) if self.said.is_news(why) => {
                tracing::warn!(%why, "the operators' orders are not taken as the exchange holds them");
            }
            Some(_) => {}
            None => {
                if self.said.over().is_some() {
                    tracing::info!("the operators' orders are taken again");
                }
            }
        }
        self.known.refused = refused;
        match trouble {
            Some(Trouble::Behind(why)) => {
                self.is_behind = true;
                self.parts.witness.behind(&why);
                // Its audit chains were restored with it, perhaps.
                self.chains = self.all_chains();
                self.parts.gate.give(Orders::unread(&why));
                return;
            }
            Some(Trouble::Unread(_)) if self.is_behind => return,
            Some(Trouble::Unread(why) | Trouble::Refused(why)) if !self.known.is_read => {
                self.parts.witness.unread(&why);
                self.parts.gate.give(Orders::unread(&why));
                return;
            }
            Some(Trouble::Unread(_)) => {}
            Some(Trouble::Refused(_)) | None => self.is_behind = false,
        }
        let now = Timestamp::now();
        // First, so that a lane is held before the gate opens.
        self.parts.witness.renew(self.known.holds(now));
        let (orders, acts) = self.known.fold(&self.scope, now);
        self.parts.gate.give(orders);
        for act in acts {
            tracing::info!(
                action = act.action,
                actor = act.actor,
                reason = act.reason,
                "order"
            );
            self.note(act);
        }
        self.relief();
        self.write().await;
        self.read_audit().await;
    }

    /// Reads what names control records, once: later the lanes and the lease see it themselves.
    async fn read_places(&mut self) -> Result<(), String> {
        while let Some(place) = self.unread.last() {
            let (exchange, trust) = (&*self.parts.exchange, &self.publishers);
            let reading = async {
                match place {
                    Place::Lane(lane) => named_by_lane(exchange, lane, trust).await,
                    Place::Lease => named_by_lease(exchange, &self.parts.source, &trust.chunks).await,
                    Place::File => Ok(None),
                }
            };
            let mut named = tokio::time::timeout(BOUND, reading)
                .await
                .map_err(|_| "the exchange does not answer".to_owned())?
                .map_err(|error| error.to_string())?;
            if let (Place::File, Some(file)) = (place, &self.parts.high_water) {
                named = file.read()?.map(|mark| Named {
                    mark,
                    by: format!("the file {}", file.path().display()),
                });
            }
            if let Some(named) = named {
                self.parts.witness.see(named.mark, || named.by);
            }
            self.unread.pop();
        }
        Ok(())
    }

    /// Reads the orders, unless they are as they were; why they are not put in force.
    async fn read_orders(&mut self) -> Option<Trouble> {
        let exchange = &*self.parts.exchange;
        let reading = async {
            let last = exchange.last_control(&self.parts.party).await?;
            let message = last.map(|last| Unreadable::of(last.sequence, &last.bytes));
            let is_read = self.known.last.is_some() && self.known.message == message;
            if is_read && !self.parts.witness.is_in_doubt() {
                return Ok((message, None));
            }
            let head = control_head::read(exchange, &self.parts.party, &self.trusted).await?;
            Ok::<_, exchange::Error>((message, Some(head)))
        };
        let (message, head) = match tokio::time::timeout(BOUND, reading).await {
            Err(_) => return Some(Trouble::Unread("the exchange does not answer".to_owned())),
            Ok(Err(error)) => return Some(Trouble::Unread(error.to_string())),
            Ok(Ok((_, None))) => {
                let head = self.known.last.as_ref();
                return head.and_then(Head::trouble).map(Trouble::Refused);
            }
            Ok(Ok((message, Some(head)))) => (message, head),
        };
        let mark = head.mark();
        let taken = self.known.take(head, &self.parts.witness, Timestamp::now());
        if !matches!(taken, Err(Trouble::Behind(_))) && self.known.is_read {
            self.known.message = message;
            self.note_high_water(mark);
        }
        taken.err()
    }

    /// Notes the record in force in the local file. Where that fails, orders bind all the same.
    fn note_high_water(&self, mark: Option<Mark>) {
        let (Some(file), Some(mark)) = (&self.parts.high_water, mark) else {
            return;
        };
        let follows = |noted| self.known.last.as_ref().is_some_and(|head| head.follows(noted));
        let trouble = file.note(mark, follows).err();
        if let Some(why) = &trouble {
            tracing::warn!(%why, "the control record in force is not noted in the local file");
        }
        self.parts.witness.file_trouble(trouble);
    }

    /// Reads the last entries of the audit chains that chunks name: the operators' each time, those of the agents once, for
    /// they note their own. What cannot be read is not named.
    async fn read_audit(&mut self) {
        let mut chains = std::mem::take(&mut self.chains);
        chains.extend(PartyName::new("operator"));
        for writer in chains {
            let own = if writer.as_str() == "operator" {
                &self.trusted
            } else {
                &self.publishers.chunks
            };
            let who = Signatory {
                key: &self.parts.key,
                trusted: own,
                instance: &self.parts.instance,
                party: &self.parts.party,
                writer: &writer,
            };
            match tokio::time::timeout(BOUND, act::last(&*self.parts.exchange, &who)).await {
                Ok(Ok(Some(mark))) => self.parts.witness.audited(&self.parts.party, &writer, mark),
                Ok(Ok(None)) => {}
                _ if writer.as_str() == "operator" => {}
                _ => self.chains.push(writer),
            }
        }
    }

    /// A trickle or a deadline window that begins or ends is an act with a name, too.
    fn relief(&mut self) {
        let verdict = self.parts.gate.verdict();
        let now = (verdict.reason.kind() == ReasonKind::Relief).then(|| verdict.reason.to_string());
        if now == self.relief {
            return;
        }
        let (action, why) = match (&now, &self.relief) {
            (Some(why), _) => ("gate.relief.begins", why),
            (None, Some(why)) => ("gate.relief.ends", why),
            (None, None) => return,
        };
        let act = Act {
            actor: "policy".to_owned(),
            action: action.to_owned(),
            reason: why.clone(),
            detail: BTreeMap::from([("scope".to_owned(), self.scope.clone())]),
        };
        self.relief = now;
        self.note(act);
    }

    fn note(&mut self, mut act: Act) {
        let instance = self.parts.instance.clone();
        act.detail.insert("instance".to_owned(), instance);
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
            tracing::warn!("an audit entry was dropped: the exchange has not taken any for long");
        }
        self.waiting.push_back(act);
    }

    async fn write(&mut self) {
        let Ok(writer) = PartyName::new("gate") else {
            return;
        };
        let who = Signatory {
            key: &self.parts.key,
            trusted: &self.trusted,
            instance: &self.parts.instance,
            party: &self.parts.party,
            writer: &writer,
        };
        while let Some(act) = self.waiting.front() {
            let writing = append(&*self.parts.exchange, &who, act);
            match tokio::time::timeout(BOUND, writing).await {
                Ok(Ok(mark)) => {
                    self.parts.witness.audited(&self.parts.party, &writer, mark);
                    self.waiting.pop_front();
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "audit entry waits");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
