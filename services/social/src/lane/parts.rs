//! What a lane's executor is made of, and what passes between it and the reader.

use std::sync::Arc;
use std::time::Duration;

use exchange::Exchange;
use jiff::Timestamp;
use schemas::cursor::Cursor;
use schemas::name::Lane;
use schemas::person::PersonKey;
use schemas::seal::SealRing;
use schemas::sign::SigningKey;
use schemas::source::SourceMark;

use crate::blocklist::ListWatch;
use crate::changed;
use crate::hold::{HoldWatch, Withhold};
use crate::lease_keeper::LeaseWatch;
use crate::mask::Masks;
use crate::seal::{LaneSeal, Packed};
use crate::status::Board;
use crate::tail::Trust;
use crate::witness::Witness;

/// A block for a lane, read for this generation of it.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The generation.
    pub generation: u64,
    /// The block.
    pub packed: Arc<Packed>,
}

/// What the reader hands to a lane.
#[derive(Debug, Clone)]
pub enum Handed {
    /// A block of rows.
    Block(Parcel),
    /// The source is not the one that this generation of the lane was read from: what changed.
    SourceChanged {
        /// The generation.
        generation: u64,
        /// What changed.
        what: String,
    },
}

/// Where the reader has to go on for a lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// Counted up whenever what was read and not stored is void.
    pub generation: u64,
    /// The place to read on from; none: nothing may be read for this lane now.
    pub from: Option<Option<Cursor>>,
    /// Whether the exchange was read, whatever came of it: before that, a reader that is about
    /// to begin waits for this lane, so that lanes at equal cursors begin together.
    pub known: bool,
    /// Whether the feed is sent again from its start, up to a chunk that completes it.
    pub is_resync: bool,
    /// Which rows are to be kept back.
    pub withhold: Option<Arc<Withhold>>,
    /// The database that the lane's last chunk was read from; none: any may be read.
    pub source: Option<SourceMark>,
    /// An operator accepted that the source holds nothing at this place.
    pub is_source_accepted: bool,
    /// When the lane's last rows were read.
    pub read_at: Option<Timestamp>,
}

/// What a lane's executor is made of.
pub struct LaneParts {
    /// Its name.
    pub lane: Lane,
    /// The exchange.
    pub exchange: Arc<dyn Exchange>,
    /// Signs chunks.
    pub key: Arc<SigningKey>,
    /// Whose tail and receipts count.
    pub trust: Trust,
    /// How chunks are sealed to the recipient; none: their bodies are in clear.
    pub seal: Option<LaneSeal>,
    /// What opens the lane's sealed positions.
    pub own: SealRing,
    /// This life of this process.
    pub instance: String,
    /// What the recipient sees of rows; none: all of them.
    pub masks: Option<Arc<Masks>>,
    /// The digest of the feed's definition, as it is for this lane.
    pub definition: schemas::digest::Digest,
    /// The lease.
    pub lease: LeaseWatch,
    /// What operators hold.
    pub holds: HoldWatch,
    /// Which control record chunks name, and which ones lanes see named.
    pub witness: Witness,
    /// The block list; none: nobody is on any.
    pub listed: Option<ListWatch>,
    /// The column that names a person, where the feed says so.
    pub person: Option<String>,
    /// Tells persons by their marks.
    pub person_key: Option<Arc<PersonKey>>,
    /// What the feed is now, for people: see [`changed`].
    pub now: changed::Now,
    /// Where it shows what it does.
    pub board: Board,
    /// How long between looks at a stopped lane.
    pub recheck: Duration,
    /// How long between looks at a lane that is not in doubt.
    pub check: Duration,
}
