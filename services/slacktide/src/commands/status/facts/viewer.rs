//! The viewer of the status: its side, credential and trusted keys, from its configuration file.

use std::net::SocketAddr;
use std::path::Path;

use runtime::config::Loaded;
use runtime::health::HealthConfig;
use schemas::sign::PublicKey;

use super::side::Side;
use crate::exchange_client::ExchangeOptions;
use crate::failure::Failure;
use crate::settings::{CommercialFile, ConfigFile, PartyFile, SocialFile};

/// The viewer.
pub(super) struct Viewer {
    /// The side.
    pub(super) side: Side,
    /// The user name at the exchange.
    pub(super) user: String,
    /// The address of the agent's status page.
    pub(super) health: Option<String>,
    /// The connection options.
    pub(super) options: Result<ExchangeOptions, Failure>,
    /// The trusted keys.
    pub(super) keys: Keys,
}

/// Signing keys by what they sign.
pub(super) struct Keys {
    pub(super) chunks: Vec<PublicKey>,
    pub(super) receipts: Vec<PublicKey>,
    pub(super) orders: Vec<PublicKey>,
}

impl Viewer {
    /// Creates it from the file.
    pub(super) fn of(file: &ConfigFile) -> Self {
        match file {
            ConfigFile::Social(file) => Self::bureau(file),
            ConfigFile::Commercial(file) => Self::insurer(file),
            ConfigFile::Party(file) => Self::other(file),
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
            options: value.exchange.command_options(folder),
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
            options: value.exchange.command_options(folder),
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
            options: value.exchange.command_options(file.folder()),
            keys: Keys {
                chunks: value.trust.chunks.clone(),
                receipts: value.trust.receipts.clone(),
                orders: Vec::new(),
            },
        }
    }
}

/// Returns the address of the page. With port 0 it changes at each start and is read from `addr_file`.
fn address(health: &HealthConfig, folder: &Path) -> String {
    let bound = health
        .addr_file
        .as_ref()
        .and_then(|file| std::fs::read_to_string(folder.join(file)).ok());
    let bound = bound.and_then(|text| text.trim().parse::<SocketAddr>().ok());
    bound.unwrap_or(health.listen).to_string()
}
