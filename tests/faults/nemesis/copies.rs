//! Older copies of core, store and exchange, as backups leave them.

use harness::{Postgres, StoreCopy};

use super::business::Business;
use crate::faults::fixture::Fixture;

/// Copies that were not restored yet.
#[derive(Default)]
pub(super) struct Copies {
    /// What the core had committed when the newest copies were made.
    committed: u64,
    core: Option<Postgres>,
    store: Option<Postgres>,
    exchange: Option<StoreCopy>,
}

impl Copies {
    /// Makes the copies that are missing. The servers are down for a moment meanwhile.
    pub(super) async fn make(&mut self, fixture: &mut Fixture, business: &Business) {
        if self.core.is_none() {
            self.core = Some(copy(&mut fixture.core).await);
        }
        if self.store.is_none() {
            self.store = Some(copy(&mut fixture.store).await);
        }
        if self.exchange.is_none() {
            self.exchange = Some(fixture.site.nats.copy_store());
        }
        self.committed = business.committed();
    }

    /// Returns what the core had committed when the newest copies were made.
    pub(super) fn committed(&self) -> u64 {
        self.committed
    }

    /// Replaces the core. The agent's connections are closed, and the next ones reach the copy.
    pub(super) async fn restore_core(&mut self, fixture: &mut Fixture) {
        let copy = self.core.take().expect("a copy of the core");
        replace(&mut fixture.core, copy).await;
        fixture.site.core = fixture.core.existing_database(fixture.site.core.name());
        fixture.to_core.redirect_to(fixture.core.port());
    }

    /// Replaces the store.
    pub(super) async fn restore_store(&mut self, fixture: &mut Fixture) {
        let copy = self.store.take().expect("a copy of the store");
        replace(&mut fixture.store, copy).await;
        fixture.site.store = fixture.store.existing_database(fixture.site.store.name());
        fixture.to_store.redirect_to(fixture.store.port());
    }

    /// Replaces the streams of the exchange.
    pub(super) async fn restore_exchange(&mut self, fixture: &mut Fixture) {
        let copy = self.exchange.take().expect("a copy of the exchange");
        fixture.site.nats.restore_store(&copy).await;
    }
}

async fn copy(server: &mut Postgres) -> Postgres {
    server.stop().await;
    let copy = server.backup();
    server.start().await;
    copy
}

async fn replace(server: &mut Postgres, mut copy: Postgres) {
    server.stop().await;
    copy.start().await;
    *server = copy;
}
