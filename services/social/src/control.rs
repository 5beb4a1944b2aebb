//! Obeys operators' orders: reads and verifies them each second, and applies them to the gate and the lanes.
//!
//! The gate stays closed until the orders were read once, because it may be paused. Afterwards the last known orders stay in
//! force while the exchange is unreachable or holds a message that no operator signed. An order expires by the local clock.
//!
//! If the orders are behind what a signed message names ([`crate::record_tracker`]), the gate closes and every lane is held: a
//! pause or a hold may be lost.

mod orders_in_force;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use exchange::port::Stream;
use exchange::{ErrorKind, Exchange};
use gate::{Gate, Orders, ReasonKind};
use jiff::Timestamp;
use runtime::log_dedup::LogDedup;
use schemas::control;
use schemas::heads::RecordRef;
use schemas::name::{Lane, PartyName, SourceName};
use schemas::origin::Origin;
use schemas::sign::{PublicKey, SigningKey};
use schemas::unreadable::Unreadable;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::audit_log::{self, AuditEvent, AuditSigner, append};
use crate::control_head::{self, Head};
use crate::high_water_file::{HighWaterError, HighWaterFile};
use crate::notice_chain;
use crate::record_tracker::{RecordReference, RecordTracker, named_by_lane, named_by_lease};
use crate::repair;
use crate::tail::Trust;

use orders_in_force::{OrdersError, OrdersInForce};

/// The interval for reading orders.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The timeout for one poll, or for one audit entry.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of audit entries that wait for the exchange. Older ones are dropped with a warning.
const MAX_QUEUED_EVENTS: usize = 256;

/// The writer of the audit chain with the gate's entries.
const GATE_WRITER: &str = "gate";

/// The dependencies of [`keep`].
pub struct ControlParts {
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// The gate.
    pub gate: Gate,
    /// Publishes holds to the lanes and tracks control records.
    pub record_tracker: RecordTracker,
    /// All lanes, whose last chunks name control records.
    pub lanes: Vec<Lane>,
    /// Keys of other publishers of these lanes; this agent's key is always trusted.
    pub publishers: Vec<PublicKey>,
    /// The origin that chunks must have.
    pub origin: Origin,
    /// The local file with the newest control record, if one is kept.
    pub high_water: Option<HighWaterFile>,
    /// The party whose orders count.
    pub party: PartyName,
    /// The source that the gate protects.
    pub source: SourceName,
    /// Keys that sign orders; this agent's key is always trusted.
    pub operators: Vec<PublicKey>,
    /// Signs audit entries.
    pub key: Arc<SigningKey>,
    /// Identifies this run of the process.
    pub instance: String,
}

/// Obeys until the token is cancelled. Start the gate under [`Orders::unread`].
#[must_use]
pub fn keep(parts: ControlParts, stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut keeper = Keeper::new(parts);
        keeper.chains = keeper.all_chains();
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = keeper.poll() => {}
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
    orders: OrdersInForce,
    /// Whether a record is lost.
    is_behind: bool,
    /// The sources of control records that are still to be read.
    unread: Vec<RecordSource>,
    /// The audit chains whose last entries are still to be read.
    chains: Vec<PartyName>,
    queued_events: VecDeque<AuditEvent>,
    relief: Option<String>,
    log_dedup: LogDedup,
}

/// A source that names a control record.
#[derive(Debug, Clone)]
enum RecordSource {
    Lane(Lane),
    Lease,
    File,
}

/// Why a source of control records could not be read.
#[derive(Debug, thiserror::Error)]
enum RecordSourceError {
    #[error("the exchange does not answer")]
    NoAnswer,
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    #[error(transparent)]
    File(#[from] HighWaterError),
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
        let scope = control::gate_scope(&parts.source);
        let lanes = parts.lanes.iter().cloned().map(RecordSource::Lane);
        Self {
            unread: lanes.chain([RecordSource::Lease, RecordSource::File]).collect(),
            chains: Vec::new(),
            trusted,
            publishers,
            scope,
            orders: OrdersInForce::default(),
            is_behind: false,
            queued_events: VecDeque::new(),
            relief: None,
            log_dedup: LogDedup::default(),
            parts,
        }
    }

    /// Returns the agents' audit chains that chunks of these lanes name.
    fn all_chains(&self) -> Vec<PartyName> {
        let recipients: BTreeSet<_> = self.parts.lanes.iter().map(|lane| &lane.recipient).collect();
        let chains = recipients.into_iter().filter_map(notice_chain::writer);
        let of_agents = [GATE_WRITER, repair::WRITER].into_iter();
        chains
            .chain(of_agents.filter_map(|name| PartyName::new(name).ok()))
            .collect()
    }

    async fn poll(&mut self) {
        let error = match self.read_record_sources().await {
            Ok(()) => self.read_orders().await,
            Err(error) => Some(OrdersError::Unread(error.to_string())),
        };
        let refused = match &error {
            Some(OrdersError::Unread(why) | OrdersError::Refused(why) | OrdersError::Behind(why)) => {
                Some(why.clone())
            }
            None => None,
        };
        match &refused {
            Some(why) if self.log_dedup.is_new(why) => {
                tracing::warn!(%why, "operators' orders at the exchange are not applied");
            }
            Some(_) => {}
            None => {
                if self.log_dedup.recovered().is_some() {
                    tracing::info!("operators' orders are applied again");
                }
            }
        }
        self.orders.refused = refused;
        match error {
            Some(OrdersError::Behind(why)) => {
                self.is_behind = true;
                self.parts.record_tracker.set_behind(&why);
                // The audit chains may have been restored too.
                self.chains = self.all_chains();
                self.parts.gate.set_orders(Orders::unread(&why));
                return;
            }
            Some(OrdersError::Unread(_)) if self.is_behind => return,
            Some(OrdersError::Unread(why) | OrdersError::Refused(why)) if !self.orders.is_read => {
                self.parts.record_tracker.set_unread(&why);
                self.parts.gate.set_orders(Orders::unread(&why));
                return;
            }
            Some(OrdersError::Unread(_)) => {}
            Some(OrdersError::Refused(_)) | None => self.is_behind = false,
        }
        let now = Timestamp::now();
        // Before the gate, so that a lane is held before the gate opens.
        self.parts.record_tracker.republish_holds(self.orders.holds(now));
        let (orders, events) = self.orders.fold(&self.scope, now);
        self.parts.gate.set_orders(orders);
        for event in events {
            tracing::info!(
                action = event.action,
                actor = event.actor,
                reason = event.reason,
                "order"
            );
            self.queue_event(event);
        }
        self.relief();
        self.write_events().await;
        self.read_audit().await;
    }

    /// Reads the sources of control records once; later the lanes and the lease observe them.
    async fn read_record_sources(&mut self) -> Result<(), RecordSourceError> {
        while let Some(source) = self.unread.last() {
            let (exchange, trust) = (&*self.parts.exchange, &self.publishers);
            let reading = async {
                match source {
                    RecordSource::Lane(lane) => named_by_lane(exchange, lane, trust).await,
                    RecordSource::Lease => named_by_lease(exchange, &self.parts.source, &trust.chunks).await,
                    RecordSource::File => Ok(None),
                }
            };
            let mut named = tokio::time::timeout(CALL_TIMEOUT, reading)
                .await
                .map_err(|_| RecordSourceError::NoAnswer)??;
            if let (RecordSource::File, Some(file)) = (source, &self.parts.high_water) {
                named = file.read()?.map(|mark| RecordReference {
                    mark,
                    by: format!("the file {}", file.path().display()),
                });
            }
            if let Some(named) = named {
                self.parts.record_tracker.observe(named.mark, || named.by);
            }
            self.unread.pop();
        }
        Ok(())
    }

    /// Reads changed orders. Returns why they are not put in force.
    async fn read_orders(&mut self) -> Option<OrdersError> {
        let exchange = &*self.parts.exchange;
        let reading = async {
            let last = exchange.last_control(&self.parts.party).await?;
            let message = last.map(|last| Unreadable::of(last.sequence, &last.bytes));
            let is_read = self.orders.last.is_some() && self.orders.message == message;
            if is_read && !self.parts.record_tracker.has_unresolved() {
                return Ok((message, None));
            }
            let head = control_head::read(exchange, &self.parts.party, &self.trusted).await?;
            Ok::<_, exchange::Error>((message, Some(head)))
        };
        let (message, head) = match tokio::time::timeout(CALL_TIMEOUT, reading).await {
            Err(_) => return Some(OrdersError::Unread("the exchange does not answer".to_owned())),
            Ok(Err(error)) => return Some(OrdersError::Unread(error.to_string())),
            Ok(Ok((_, None))) => {
                let head = self.orders.last.as_ref();
                return head.and_then(Head::unreadable_message).map(OrdersError::Refused);
            }
            Ok(Ok((message, Some(head)))) => (message, head),
        };
        let (mark, sequence) = (head.mark(), head.expected);
        let accepted = self
            .orders
            .take(head, &self.parts.record_tracker, Timestamp::now());
        if matches!(accepted, Err(OrdersError::Behind(_)))
            && let Some(why) = self.why_not_proven(sequence).await
        {
            return Some(OrdersError::Unread(why));
        }
        if !matches!(accepted, Err(OrdersError::Behind(_))) && self.orders.is_read {
            self.orders.message = message;
            self.note_high_water(mark);
        }
        accepted.err()
    }

    /// Returns why a read that ended at this sequence does not prove that records are lost; `None` if the stream's leader has no later
    /// one either. A replica that lags has an older end.
    async fn why_not_proven(&self, sequence: u64) -> Option<String> {
        let asking = self
            .parts
            .exchange
            .stream_state(Stream::Control, &self.parts.party);
        match tokio::time::timeout(CALL_TIMEOUT, asking).await {
            Ok(Ok(state)) => {
                // A stream that was emptied keeps counting, and has no message.
                let last = if state.messages == 0 {
                    0
                } else {
                    state.last_sequence
                };
                (last != sequence).then(|| {
                    format!(
                        "a server of the exchange lags: it has the orders up to sequence {sequence}, and the leader up to {last}"
                    )
                })
            }
            // The transport cannot ask the leader.
            Ok(Err(error)) if error.kind == ErrorKind::Protocol => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the exchange does not answer".to_owned()),
        }
    }

    /// Writes the record in force to the local file. Orders stay in force if that fails.
    fn note_high_water(&self, mark: Option<RecordRef>) {
        let (Some(file), Some(mark)) = (&self.parts.high_water, mark) else {
            return;
        };
        let follows = |noted| self.orders.last.as_ref().is_some_and(|head| head.follows(noted));
        let error = file.record(mark, follows).err().map(|error| error.to_string());
        if let Some(why) = &error {
            tracing::warn!(%why, "cannot write the control record to the local file");
        }
        self.parts.record_tracker.set_file_error(error);
    }

    /// Reads the last entries of the audit chains that chunks name: the operators' each time, those of agents once, because
    /// agents record their own. Chunks do not name an unreadable chain.
    async fn read_audit(&mut self) {
        let mut chains = std::mem::take(&mut self.chains);
        chains.extend(PartyName::new("operator"));
        for writer in chains {
            let own = if writer.as_str() == "operator" {
                &self.trusted
            } else {
                &self.publishers.chunks
            };
            let signer = AuditSigner {
                key: &self.parts.key,
                trusted: own,
                instance: &self.parts.instance,
                party: &self.parts.party,
                writer: &writer,
            };
            match tokio::time::timeout(CALL_TIMEOUT, audit_log::last(&*self.parts.exchange, &signer)).await {
                Ok(Ok(Some(mark))) => {
                    self.parts
                        .record_tracker
                        .set_audit_head(&self.parts.party, &writer, mark)
                }
                Ok(Ok(None)) => {}
                _ if writer.as_str() == "operator" => {}
                _ => self.chains.push(writer),
            }
        }
    }

    /// Records in the audit chain when a trickle or a deadline window begins or ends.
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
        let event = AuditEvent {
            actor: "policy".to_owned(),
            action: action.to_owned(),
            reason: why.clone(),
            detail: BTreeMap::from([("scope".to_owned(), self.scope.clone())]),
        };
        self.relief = now;
        self.queue_event(event);
    }

    fn queue_event(&mut self, mut event: AuditEvent) {
        let instance = self.parts.instance.clone();
        event.detail.insert("instance".to_owned(), instance);
        if self.queued_events.len() == MAX_QUEUED_EVENTS {
            self.queued_events.pop_front();
            tracing::warn!("audit entry dropped, the exchange has not stored any for too long");
        }
        self.queued_events.push_back(event);
    }

    async fn write_events(&mut self) {
        let Ok(writer) = PartyName::new(GATE_WRITER) else {
            return;
        };
        let signer = AuditSigner {
            key: &self.parts.key,
            trusted: &self.trusted,
            instance: &self.parts.instance,
            party: &self.parts.party,
            writer: &writer,
        };
        while let Some(event) = self.queued_events.front() {
            let writing = append(&*self.parts.exchange, &signer, event);
            match tokio::time::timeout(CALL_TIMEOUT, writing).await {
                Ok(Ok(mark)) => {
                    self.parts
                        .record_tracker
                        .set_audit_head(&self.parts.party, &writer, mark);
                    self.queued_events.pop_front();
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "audit entry waits for the exchange");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
