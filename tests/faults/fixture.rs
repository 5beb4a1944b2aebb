//! A site with a proxy on each connection and with private databases that a test can crash.

use harness::{Postgres, PostgresOptions, Proxy, Shim};
use serde_json::Value;

use crate::pipeline::site::{Agent, Links, Site};

pub(super) const OPEN: &str = "mode = \"open\"";
pub(super) const LANE: &str = "/lanes/insurer-a.claim";

pub(super) struct Fixture {
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

impl Fixture {
    pub(super) async fn start(rows: u32, gate: &'static str) -> Self {
        let (core, store) = tokio::join!(database_server(false), database_server(false));
        Self::with_databases(core, store, rows, gate).await
    }

    /// Starts with the store under a shim; its commits are fsynced.
    pub(super) async fn with_store_shim(shim: &Shim, rows: u32) -> Self {
        let durable = PostgresOptions {
            fsync: true,
            ..PostgresOptions::default()
        };
        let (core, store) = tokio::join!(database_server(false), Postgres::with_shim(durable, shim));
        Self::with_databases(core, store, rows, OPEN).await
    }

    /// Starts between two given servers.
    pub(super) async fn with_databases(
        core: Postgres,
        store: Postgres,
        rows: u32,
        gate: &'static str,
    ) -> Self {
        let (from, to) = (core.database("core").await, store.database("insurer").await);
        let grants = format!(
            "GRANT CREATE ON DATABASE \"{}\" TO $role; GRANT CREATE, USAGE ON SCHEMA public TO $role",
            to.name()
        );
        let writer = to.role("writer", &grants).await;
        let mut site = Site::between(from, to, rows, gate, |text| text).await;
        let (bureau, insurer) = (
            Proxy::start(site.nats.port()).await,
            Proxy::start(site.nats.port()).await,
        );
        let (to_core, to_store) = (Proxy::start(core.port()).await, Proxy::start(store.port()).await);
        let exchange = |link: &Proxy| Some(format!("nats://127.0.0.1:{}", link.port()));
        site.links = Links {
            exchange: [exchange(&bureau), exchange(&insurer)],
            source: Some(site.core.url_via(to_core.port(), &site.reader)),
            store: Some(format!(
                "kind = \"postgres\"\nurl = {{ value = \"{}\" }}\nstatement_timeout = \"2s\"",
                site.store.url_via(to_store.port(), &writer)
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

    /// Starts both agents and waits until all rows are in the store.
    pub(super) async fn start_agents(&self) -> (Agent, Agent) {
        let agents = (self.site.social("social"), self.site.poller("poller"));
        self.site.wait_until_equal().await;
        agents
    }

    /// Inserts, updates and deletes rows in the core.
    pub(super) async fn change_rows(&mut self) {
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

    /// Changes rows and waits until all of them are in the store.
    pub(super) async fn assert_recovered(&mut self) {
        self.change_rows().await;
        self.site.wait_until_equal().await;
    }

    /// Asserts what no fault may break: equal rows, the evidence chain, and a ledger with every number once.
    pub(super) async fn assert_consistent(&self) {
        self.site.wait_until_equal().await;
        self.site.assert_evidence_valid().await;
        self.site.assert_ledger_gapless().await;
    }

    /// Ends the sessions of an account: login rights are checked again at the next connection.
    pub(super) async fn terminate_sessions(&self, who: &str) {
        let sql = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{who}'");
        for db in [&self.site.core, &self.site.store] {
            db.query(&sql).await;
        }
    }
}

async fn database_server(fsync: bool) -> Postgres {
    Postgres::private(PostgresOptions {
        fsync,
        ..PostgresOptions::default()
    })
    .await
}

/// Returns a predicate: the value is a text that contains this.
pub(super) fn text_contains(word: &str) -> impl Fn(&Value) -> bool {
    let word = word.to_owned();
    move |value| value.as_str().is_some_and(|text| text.contains(&word))
}

/// Waits until the poller has begun this many more rounds: time that passes during a fault, counted by the agent.
pub(super) async fn wait_rounds(poller: &Agent, more: u64) {
    let now = poller
        .status()
        .await
        .and_then(|status| status["ticks"].as_u64())
        .unwrap_or(0);
    poller
        .wait_status("more rounds", "/ticks", |ticks| ticks.as_u64() > Some(now + more))
        .await;
}
