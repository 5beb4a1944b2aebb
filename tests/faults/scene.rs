//! A site with a way of its own between each two parts, and with databases of its own to be crashed.

use harness::{Postgres, PostgresOptions, Proxy, Shim};
use serde_json::Value;

use crate::path::site::{Agent, Links, Site};

pub(super) const OPEN: &str = "mode = \"open\"";
pub(super) const LANE: &str = "/lanes/insurer-a.claim";

pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) core: Postgres,
    pub(super) store: Postgres,
    /// The account of the insurer's agent.
    pub(super) writer: String,
    /// From the bureau's agent to the exchange.
    pub(super) bureau: Proxy,
    /// From the insurer's agent to the exchange.
    pub(super) insurer: Proxy,
    /// From the bureau's agent to the core.
    pub(super) to_core: Proxy,
    /// From the insurer's agent to the store.
    pub(super) to_store: Proxy,
    round: i64,
}

impl Scene {
    pub(super) async fn start(rows: u32, gate: &'static str) -> Self {
        let (core, store) = tokio::join!(server(false), server(false));
        Self::around(core, store, rows, gate).await
    }

    /// With the store on a machine that may have faults; its commits reach the disk.
    pub(super) async fn with_store_under(shim: &Shim, rows: u32) -> Self {
        let durable = PostgresOptions {
            fsync: true,
            ..PostgresOptions::default()
        };
        let (core, store) = tokio::join!(server(false), Postgres::under(durable, shim));
        Self::around(core, store, rows, OPEN).await
    }

    async fn around(core: Postgres, store: Postgres, rows: u32, gate: &'static str) -> Self {
        let (from, to) = (core.database("core").await, store.database("insurer").await);
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role",
            to.name()
        );
        let writer = to.role("writer", &grants).await;
        let mut site = Site::between(from, to, rows, gate, |text| text).await;
        let (bureau, insurer) = (
            Proxy::before(site.nats.port()).await,
            Proxy::before(site.nats.port()).await,
        );
        let (to_core, to_store) = (
            Proxy::before(core.port()).await,
            Proxy::before(store.port()).await,
        );
        let exchange = |way: &Proxy| Some(format!("nats://127.0.0.1:{}", way.port()));
        site.links = Links {
            exchange: [exchange(&bureau), exchange(&insurer)],
            source: Some(site.core.url_by(to_core.port(), &site.reader)),
            store: Some(format!(
                "kind = \"postgres\"\nurl = {{ value = \"{}\" }}\nstatement_timeout = \"2s\"",
                site.store.url_by(to_store.port(), &writer)
            )),
            ..Links::default()
        };
        Self {
            site,
            core,
            store,
            writer,
            bureau,
            insurer,
            to_core,
            to_store,
            round: 0,
        }
    }

    /// Both agents, with everything that is there so far in the store.
    pub(super) async fn agents(&self) -> (Agent, Agent) {
        let agents = (self.site.social("social"), self.site.poller("poller"));
        self.site.agree().await;
        agents
    }

    /// The business: rows that are new, changed and deleted.
    pub(super) async fn work(&mut self) {
        self.round += 1;
        let round = self.round;
        self.site
            .core
            .execute(&format!(
                "INSERT INTO claim (id, name, amount, memo) SELECT {round} * 1000000 + g, 'new', g / 7.0, 'memo'
                 FROM generate_series(1, 300) g;
                 UPDATE claim SET amount = amount + 1, updated_at = now() WHERE id % 50 = {round} % 50;
                 UPDATE claim SET deleted = true, updated_at = now() WHERE id = {round}"
            ))
            .await;
    }

    /// The business goes on, and everything of it arrives.
    pub(super) async fn goes_on(&mut self) {
        self.work().await;
        self.site.agree().await;
    }

    /// What a fault must never touch: chain, signatures, totals, and a ledger that has every number once.
    pub(super) async fn is_whole(&self) {
        self.site.agree().await;
        self.site.evidence_holds().await;
        self.site.ledger_is_gapless().await;
    }

    /// Ends the sessions of an account: rights at log-in are looked at anew.
    pub(super) async fn log_out(&self, who: &str) {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{who}'");
        for db in [&self.site.core, &self.site.store] {
            db.query(&sql).await;
        }
    }
}

async fn server(fsync: bool) -> Postgres {
    Postgres::private(PostgresOptions {
        fsync,
        ..PostgresOptions::default()
    })
    .await
}

/// Whether a value is a text with this in it.
pub(super) fn says(word: &str) -> impl Fn(&Value) -> bool {
    let word = word.to_owned();
    move |value| value.as_str().is_some_and(|text| text.contains(&word))
}

/// Waits until the poller has begun so many more rounds: time that passes under a fault, by the agent's own count.
pub(super) async fn rounds(poller: &Agent, more: u64) {
    let now = poller
        .status()
        .await
        .and_then(|status| status["ticks"].as_u64())
        .unwrap_or(0);
    poller
        .shows("more rounds", "/ticks", |ticks| ticks.as_u64() > Some(now + more))
        .await;
}
