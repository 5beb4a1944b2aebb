//! Who looks, and whom they believe: by the file of the agent or the party.

use std::net::SocketAddr;
use std::path::Path;

use runtime::config::Loaded;
use runtime::health::HealthConfig;
use schemas::sign::PublicKey;

use super::known::Side;
use crate::failure::Failure;
use crate::settings::{CommercialFile, Kind, PartyFile, SocialFile};

/// One who looks.
pub(super) struct Eyes {
    /// On which side they are.
    pub(super) side: Side,
    /// Their name at the exchange.
    pub(super) user: String,
    /// Where their agent's status page is.
    pub(super) health: Option<String>,
    /// How they reach the exchange.
    pub(super) options: Result<nats::Options, Failure>,
    /// Whom they believe.
    pub(super) keys: Keys,
}

/// Signing keys by what they sign.
pub(super) struct Keys {
    pub(super) chunks: Vec<PublicKey>,
    pub(super) receipts: Vec<PublicKey>,
    pub(super) orders: Vec<PublicKey>,
}

impl Eyes {
    /// By the file.
    pub(super) fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Social(file) => Self::bureau(file),
            Kind::Commercial(file) => Self::insurer(file),
            Kind::Party(file) => Self::other(file),
        }
    }

    fn bureau(file: &Loaded<SocialFile>) -> Self {
        let (value, folder) = (&file.value, file.folder());
        let mut chunks = value.trust.chunks.clone();
        chunks.extend(value.signing.key(folder).ok().map(|key| key.public().clone()));
        let mut orders = value.trust.operators.clone();
        orders.extend(chunks.last().cloned());
        Self {
            side: Side::Bureau,
            user: value.exchange.user.clone(),
            health: value.health.as_ref().map(|health| address(health, folder)),
            options: value.exchange.command(folder),
            keys: Keys {
                chunks,
                receipts: value.trust.receipts.values().flatten().cloned().collect(),
                orders,
            },
        }
    }

    fn insurer(file: &Loaded<CommercialFile>) -> Self {
        let (value, folder) = (&file.value, file.folder());
        let own = value.signing.key(folder).ok();
        let own: Vec<PublicKey> = own.map(|key| key.public().clone()).into_iter().collect();
        Self {
            side: Side::Insurer,
            user: value.exchange.user.clone(),
            health: value.health.as_ref().map(|health| address(health, folder)),
            options: value.exchange.command(folder),
            keys: Keys {
                chunks: value.trust.chunks.clone(),
                receipts: own.clone(),
                orders: own,
            },
        }
    }

    fn other(file: &Loaded<PartyFile>) -> Self {
        let value = &file.value;
        Self {
            side: Side::Other,
            user: value.exchange.user.clone(),
            health: None,
            options: value.exchange.command(file.folder()),
            keys: Keys {
                chunks: value.trust.chunks.clone(),
                receipts: value.trust.receipts.clone(),
                orders: Vec::new(),
            },
        }
    }
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
