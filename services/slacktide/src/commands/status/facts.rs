//! What is known: from the configuration, the exchange through the party's own credential, and the own agent.
//!
//! Nothing here judges. What a credential may not see is told as not seen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use exchange::{Exchange, Stored};
use jiff::Timestamp;
use nats::JetStream;
use nats::topology::Admin;
use runtime::config::Loaded;
use runtime::health::HealthConfig;
use schemas::audit::AuditEntry;
use schemas::control::{self, Control, Order};
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::lease::Lease;
use schemas::manifest::{HeldBack, Manifest};
use schemas::name::{FeedName, Lane, PartyName, RecipientName, SourceName};
use schemas::receipt::Receipt;
use schemas::sign::PublicKey;
use serde::Serialize;
use serde_json::{Value, json};

use crate::demo::page;
use crate::failure::Failure;
use crate::settings::{Kind, SocialFile, load_any};

/// No look takes longer.
const WITHIN: Duration = Duration::from_secs(10);

/// Whose eyes these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// The one that publishes.
    Bureau,
    /// The one that receives.
    Insurer,
    /// Auditor or administrator.
    Other,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    /// Whose eyes.
    pub(crate) side: Side,
    /// The name at the exchange.
    pub(crate) user: String,
    /// When it was looked.
    pub(crate) at: Timestamp,
    /// The exchange.
    pub(crate) exchange: ExchangeFacts,
    /// The own agent.
    pub(crate) agent: AgentFacts,
    /// Who may read the source; the bureau's to see.
    pub(crate) lease: Option<LeaseFacts>,
    /// Orders in force of the own party.
    pub(crate) orders: Vec<Order>,
    /// Why orders could not be read or believed.
    pub(crate) orders_trouble: Option<String>,
    /// The lanes.
    pub(crate) lanes: Vec<LaneFacts>,
}

/// The exchange.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ExchangeFacts {
    /// Why it could not be reached.
    pub(crate) trouble: Option<String>,
    /// One round trip.
    pub(crate) round_trip_ms: Option<u64>,
    /// How full the stream of chunks is, in percent; none: not told to this credential.
    pub(crate) data_full_percent: Option<u64>,
}

/// The own agent's status page.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct AgentFacts {
    /// Where it is asked; none: no `[health]` in the file.
    pub(crate) address: Option<String>,
    /// What it answered; none: it does not.
    pub(crate) page: Option<Value>,
}

impl AgentFacts {
    /// Whether it answers, where it can be asked.
    pub(crate) fn is_well(&self) -> bool {
        self.address.is_none() || self.page.is_some()
    }
}

/// The lease record.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LeaseFacts {
    /// Host and process.
    pub(crate) holder: String,
    /// Given back.
    pub(crate) released: bool,
    /// Written so long ago, by the exchange's clock and ours.
    pub(crate) age_s: i64,
    /// How long it holds.
    pub(crate) ttl_ms: u64,
}

impl LeaseFacts {
    /// Whether somebody renews it.
    pub(crate) fn is_held(&self) -> bool {
        let ttl_s = i64::try_from(self.ttl_ms / 1_000).unwrap_or(i64::MAX);
        !self.released && self.age_s <= ttl_s.saturating_mul(2).saturating_add(5)
    }
}

/// One lane, both sides of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LaneFacts {
    /// Who it is for.
    pub(crate) recipient: RecipientName,
    /// The feed.
    pub(crate) feed: FeedName,
    /// The digest of the definition as it is configured; the bureau's to know.
    pub(crate) definition: Option<Digest>,
    /// The last chunk.
    pub(crate) chunk: Option<ChunkFacts>,
    /// The last receipt.
    pub(crate) receipt: Option<ReceiptFacts>,
    /// What the bureau tells the recipient of a lane that stands still.
    pub(crate) bureau_says: Option<String>,
    /// What could not be read or believed.
    pub(crate) trouble: Option<String>,
}

impl LaneFacts {
    fn of(lane: &Lane, definition: Option<Digest>) -> Self {
        Self {
            recipient: lane.recipient.clone(),
            feed: lane.feed.clone(),
            definition,
            chunk: None,
            receipt: None,
            bureau_says: None,
            trouble: None,
        }
    }

    /// Its name.
    pub(crate) fn lane(&self) -> Lane {
        Lane {
            recipient: self.recipient.clone(),
            feed: self.feed.clone(),
        }
    }
}

/// A lane's last chunk.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ChunkFacts {
    /// Its epoch.
    pub(crate) epoch: u32,
    /// Its number.
    pub(crate) number: u64,
    /// When the exchange stored it.
    pub(crate) stored_at: Timestamp,
    /// Its rows.
    pub(crate) rows: u64,
    /// Rows in its range that holds keep back.
    pub(crate) withheld: u64,
    /// Rows in its range that could not be carried.
    pub(crate) rejects: usize,
    /// Where holds began to keep rows back, by the hold's id. Without the positions.
    #[serde(skip)]
    pub(crate) held_back: BTreeMap<String, HeldBack>,
    /// The definition it was read by.
    pub(crate) definition: Digest,
    /// Its columns.
    #[serde(skip)]
    pub(crate) schema: schemas::column::RowSchema,
    /// Whether the position after it is sealed to the bureau.
    pub(crate) has_cursor: bool,
}

/// A lane's last receipt.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReceiptFacts {
    /// The epoch that `to` counts in.
    pub(crate) epoch: u32,
    /// Everything up to this chunk is stored or in quarantine.
    pub(crate) to: u64,
    /// When the exchange stored it.
    pub(crate) stored_at: Timestamp,
    /// Rows so far.
    pub(crate) rows: u64,
    /// Numbers that are in quarantine.
    pub(crate) quarantined: Vec<u64>,
    /// Why the receiver has stopped the lane.
    pub(crate) stopped: Option<String>,
}

/// Who asks, by which file.
pub(crate) struct SeenBy {
    kind: Kind,
    feeds: Vec<FeedName>,
    bureau: PartyName,
}

impl SeenBy {
    /// By the file.
    pub(crate) fn new(path: &Path, feeds: Vec<FeedName>, bureau: PartyName) -> Result<Self, Failure> {
        Ok(Self {
            kind: load_any(path)?,
            feeds,
            bureau,
        })
    }

    /// Looks once, over a connection that is handed back for the next look.
    pub(crate) async fn look(&self, connection: Option<JetStream>) -> (Facts, Option<JetStream>) {
        let (side, user, health, options, keys) = match &self.kind {
            Kind::Social(file) => {
                let (value, folder) = (&file.value, file.folder());
                let mut chunks = value.trust.chunks.clone();
                chunks.extend(value.signing.key(folder).ok().map(|key| key.public().clone()));
                let mut orders = value.trust.operators.clone();
                orders.extend(chunks.last().cloned());
                let receipts = value.trust.receipts.values().flatten().cloned().collect();
                let health = value.health.as_ref().map(|health| address(health, folder));
                let options = value.exchange.command(folder);
                (
                    Side::Bureau,
                    &value.exchange.user,
                    health,
                    options,
                    Keys {
                        chunks,
                        receipts,
                        orders,
                    },
                )
            }
            Kind::Commercial(file) => {
                let (value, folder) = (&file.value, file.folder());
                let own: Vec<PublicKey> = value
                    .signing
                    .key(folder)
                    .ok()
                    .map(|key| key.public().clone())
                    .into_iter()
                    .collect();
                let keys = Keys {
                    chunks: value.trust.chunks.clone(),
                    receipts: own.clone(),
                    orders: own,
                };
                let health = value.health.as_ref().map(|health| address(health, folder));
                (
                    Side::Insurer,
                    &value.exchange.user,
                    health,
                    value.exchange.command(folder),
                    keys,
                )
            }
            Kind::Party(file) => {
                let value = &file.value;
                let keys = Keys {
                    chunks: value.trust.chunks.clone(),
                    receipts: value.trust.receipts.clone(),
                    orders: Vec::new(),
                };
                (
                    Side::Other,
                    &value.exchange.user,
                    None,
                    value.exchange.command(file.folder()),
                    keys,
                )
            }
        };
        let mut facts = Facts {
            side,
            user: user.clone(),
            at: Timestamp::now(),
            exchange: ExchangeFacts::default(),
            agent: AgentFacts::default(),
            lease: None,
            orders: Vec::new(),
            orders_trouble: None,
            lanes: Vec::new(),
        };
        if let Some(address) = health {
            facts.agent.page = page::status(&address).await;
            facts.agent.address = Some(address);
        }
        let connected = match (connection, options) {
            (Some(connection), _) => Ok(connection),
            (None, Ok(options)) => JetStream::connect(options)
                .await
                .map_err(|error| error.to_string()),
            (None, Err(failure)) => Err(failure.to_string()),
        };
        let exchange = match connected {
            Ok(exchange) => exchange,
            Err(why) => {
                facts.exchange.trouble = Some(why);
                facts.lanes = self.lanes(&facts.agent, None).await;
                return (facts, None);
            }
        };
        facts.lanes = self.lanes(&facts.agent, Some(&exchange)).await;
        let looked = tokio::time::timeout(WITHIN, self.ask(&exchange, &keys, &mut facts)).await;
        facts.at = Timestamp::now();
        match looked {
            Ok(()) => (facts, Some(exchange)),
            Err(_) => {
                facts.exchange.trouble = Some(format!("it did not answer within {} s", WITHIN.as_secs()));
                (facts, None)
            }
        }
    }

    async fn lanes(&self, agent: &AgentFacts, exchange: Option<&JetStream>) -> Vec<LaneFacts> {
        match &self.kind {
            Kind::Social(file) => lanes_of(&file.value),
            Kind::Commercial(file) => {
                let recipient = &file.value.commercial.recipient;
                let known = agent
                    .page
                    .as_ref()
                    .and_then(|page| page.get("lanes")?.as_object());
                let mut feeds: Vec<FeedName> = known
                    .into_iter()
                    .flat_map(|lanes| lanes.keys())
                    .filter_map(|name| name.split_once('.')?.1.parse().ok())
                    .chain(self.feeds.iter().cloned())
                    .collect();
                feeds.sort();
                feeds.dedup();
                let lane = |feed| Lane {
                    recipient: recipient.clone(),
                    feed,
                };
                feeds
                    .into_iter()
                    .map(|feed| LaneFacts::of(&lane(feed), None))
                    .collect()
            }
            Kind::Party(_) => match exchange {
                Some(exchange) => subjects(exchange).await,
                None => Vec::new(),
            },
        }
    }

    async fn ask(&self, exchange: &JetStream, keys: &Keys, facts: &mut Facts) {
        match exchange.ping().await {
            Ok(took) => facts.exchange.round_trip_ms = u64::try_from(took.as_millis()).ok(),
            Err(error) => {
                facts.exchange.trouble = Some(error.to_string());
                return;
            }
        }
        facts.exchange.data_full_percent = match facts.side {
            // The bureau's and the insurer's credentials may not ask.
            Side::Bureau | Side::Insurer => None,
            Side::Other => fullness(exchange).await,
        };
        match &self.kind {
            Kind::Social(file) => {
                let social = &file.value.social;
                facts.lease = lease(exchange, &social.source, facts.at).await;
                orders(exchange, &social.name, keys, facts).await;
            }
            Kind::Commercial(file) => {
                let recipient = &file.value.commercial.recipient;
                let told = bureau_says(exchange, &self.bureau, recipient, keys).await;
                // A feed that nothing came of yet.
                for feed in told.keys().filter_map(|feed| feed.parse::<FeedName>().ok()) {
                    if facts.lanes.iter().all(|lane| lane.feed != feed) {
                        let recipient = recipient.clone();
                        facts.lanes.push(LaneFacts::of(&Lane { recipient, feed }, None));
                    }
                }
            }
            Kind::Party(_) => {}
        }
        let bureau = match &self.kind {
            Kind::Social(file) => &file.value.social.name,
            Kind::Commercial(_) | Kind::Party(_) => &self.bureau,
        };
        let mut told: BTreeMap<RecipientName, BTreeMap<String, String>> = BTreeMap::new();
        for lane in &mut facts.lanes {
            if !told.contains_key(&lane.recipient) {
                let says = bureau_says(exchange, bureau, &lane.recipient, keys).await;
                told.insert(lane.recipient.clone(), says);
            }
            let says = told
                .get(&lane.recipient)
                .and_then(|of| of.get(lane.feed.as_str()));
            lane.bureau_says = says.cloned();
        }
        for lane in &mut facts.lanes {
            both(exchange, lane, keys).await;
        }
    }
}

/// What the bureau sees, for commands that have its file at hand.
pub(crate) async fn of_social(file: &Loaded<SocialFile>) -> Facts {
    // The name of the bureau is only asked for by insurers.
    let seen_by = SeenBy {
        kind: Kind::Social(Box::new(file.clone())),
        feeds: Vec::new(),
        bureau: file.value.social.name.clone(),
    };
    seen_by.look(None).await.0
}

struct Keys {
    chunks: Vec<PublicKey>,
    receipts: Vec<PublicKey>,
    orders: Vec<PublicKey>,
}

fn lanes_of(file: &SocialFile) -> Vec<LaneFacts> {
    let lanes = file.feeds.iter().flat_map(|feed| {
        feed.recipients.iter().map(move |recipient| {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: feed.name.clone(),
            };
            LaneFacts::of(&lane, Some(feed.digest_for(recipient)))
        })
    });
    lanes.collect()
}

/// With port 0 the address is another one after each start.
fn address(health: &HealthConfig, folder: &Path) -> String {
    let taken = health
        .addr_file
        .as_ref()
        .and_then(|file| std::fs::read_to_string(folder.join(file)).ok());
    let taken = taken.and_then(|text| text.trim().parse::<SocketAddr>().ok());
    taken.unwrap_or(health.listen).to_string()
}

/// Every lane that the stream of chunks has a subject of.
async fn subjects(exchange: &JetStream) -> Vec<LaneFacts> {
    let admin = Admin::new(exchange.clone());
    let Ok(info) = admin
        .api("STREAM.INFO.DATA", &json!({ "subjects_filter": "data.>" }))
        .await
    else {
        return Vec::new();
    };
    let subjects = info
        .get("state")
        .and_then(|state| state.get("subjects")?.as_object());
    let lane = |subject: &String| match subject.parse() {
        Ok(schemas::subject::Subject::Data(lane)) => Some(LaneFacts::of(&lane, None)),
        _ => None,
    };
    subjects
        .into_iter()
        .flat_map(|subjects| subjects.keys())
        .filter_map(lane)
        .collect()
}

async fn fullness(exchange: &JetStream) -> Option<u64> {
    let admin = Admin::new(exchange.clone());
    let info = admin.api("STREAM.INFO.DATA", &Value::Null).await.ok()?;
    let bytes = info.get("state")?.get("bytes")?.as_u64()?;
    let most = info
        .get("config")?
        .get("max_bytes")?
        .as_u64()
        .filter(|most| *most > 0)?;
    Some(bytes.saturating_mul(100) / most)
}

async fn lease(exchange: &JetStream, source: &SourceName, now: Timestamp) -> Option<LeaseFacts> {
    let stored = exchange.lease(source).await.ok()??;
    let lease: Lease = Envelope::decode(&stored.bytes).ok()?.read().ok()?;
    Some(LeaseFacts {
        holder: lease.holder,
        released: lease.released,
        age_s: now.duration_since(stored.stored_at).as_secs().max(0),
        ttl_ms: lease.ttl_ms,
    })
}

async fn orders(exchange: &JetStream, party: &PartyName, keys: &Keys, facts: &mut Facts) {
    let read = match exchange.last_control(party).await {
        Ok(None) => return,
        Ok(Some(stored)) => social::order::verified(&stored, party, &keys.orders).map(|(record, _)| record),
        Err(error) => Err(error.to_string()),
    };
    match read {
        Ok(record) => facts.orders = in_force(&record, facts.at),
        Err(why) => facts.orders_trouble = Some(why),
    }
}

fn in_force(record: &Control, now: Timestamp) -> Vec<Order> {
    control::fold(record, now).cloned().collect()
}

/// By feed: why the bureau's lanes to this recipient stand still.
async fn bureau_says(
    exchange: &JetStream,
    bureau: &PartyName,
    recipient: &RecipientName,
    keys: &Keys,
) -> BTreeMap<String, String> {
    let Some(writer) = social::notice::writer(recipient) else {
        return BTreeMap::new();
    };
    let Ok(Some(stored)) = exchange.last_audit(bureau, &writer).await else {
        return BTreeMap::new();
    };
    let entry = read::<AuditEntry>(&stored, &keys.chunks);
    match entry {
        Ok(entry) if entry.action == social::notice::ACTION => entry.detail,
        _ => BTreeMap::new(),
    }
}

/// A payload, verified where there are keys to verify it with.
fn read<P: Payload>(stored: &Stored, keys: &[PublicKey]) -> Result<P, String> {
    let envelope = Envelope::decode(&stored.bytes).map_err(|error| error.to_string())?;
    let payload = if keys.is_empty() {
        envelope.read()
    } else {
        envelope.verify(keys)
    };
    payload.map_err(|error| error.to_string())
}

/// Both sides of a lane as the exchange tells them: the receipt first, so that the receiver is never
/// shown ahead of the chunk.
async fn both(exchange: &JetStream, facts: &mut LaneFacts, keys: &Keys) {
    let lane = facts.lane();
    let mut trouble = Vec::new();
    match exchange.last_receipt(&lane).await {
        Ok(None) => {}
        Ok(Some(stored)) => match read::<Receipt>(&stored, &keys.receipts) {
            Ok(receipt) => {
                facts.receipt = Some(ReceiptFacts {
                    epoch: receipt.epoch,
                    to: receipt.to,
                    stored_at: stored.stored_at,
                    rows: receipt.rows,
                    quarantined: receipt.quarantined,
                    stopped: receipt.stopped,
                });
            }
            Err(why) => trouble.push(format!("the last receipt is not believed: {why}")),
        },
        Err(error) => trouble.push(error.to_string()),
    }
    match exchange.last_chunk(&lane).await {
        Ok(None) => {}
        Ok(Some(stored)) => match read::<Manifest>(&stored, &keys.chunks) {
            Ok(manifest) => {
                facts.chunk = Some(ChunkFacts {
                    epoch: manifest.epoch,
                    number: manifest.number,
                    stored_at: stored.stored_at,
                    rows: manifest.totals.rows,
                    withheld: manifest.totals.withheld,
                    rejects: manifest.rejects.len(),
                    held_back: manifest.totals.held_back,
                    definition: manifest.definition,
                    schema: manifest.schema,
                    has_cursor: manifest.cursor_after.is_some(),
                });
            }
            Err(why) => trouble.push(format!("the last chunk is not believed: {why}")),
        },
        Err(error) => trouble.push(error.to_string()),
    }
    facts.trouble = (!trouble.is_empty()).then(|| trouble.join("; "));
}
