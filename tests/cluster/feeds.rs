//! A feed through each fault of the cluster.

use std::fs;
use std::time::Duration;

use harness::{NatsCluster, Postgres};
use nats::topology::Admin;
use nats::{JetStream, Options};
use tokio::time::Instant;

use super::fault::{Fault, leader_of, lose_disk, restart_one_by_one, wait_until_current};
use super::is_wanted;
use crate::pipeline::site::{Agent, Site};

/// A site on a cluster with both agents at work.
struct Flow {
    site: Site<NatsCluster>,
    admin: Admin,
    agents: [Agent; 2],
    next: u32,
    longest: (Duration, String),
}

impl Flow {
    async fn start(name: &str) -> Self {
        let postgres = Postgres::shared().await;
        let core = postgres.database(&format!("{name}_core")).await;
        let store = postgres.database(&format!("{name}_store")).await;
        let site = Site::<NatsCluster>::on_servers(core, store, 2_000, "mode = \"open\"", |text| text).await;
        let agents = [site.social("social"), site.poller("poller")];
        site.wait_until_equal().await;
        let seed = fs::read_to_string(site.file("keys/admin/connect.seed")).unwrap();
        let options = Options::command(site.nats.url(), "admin", seed.trim());
        let admin = Admin::new(JetStream::connect(options).await.unwrap());
        Self {
            site,
            admin,
            agents,
            next: 100_000,
            longest: (Duration::ZERO, String::new()),
        }
    }

    /// Commits rows at the core and waits until they are stored at the receiver.
    async fn flows(&mut self, what: &str) {
        let (from, to) = (self.next, self.next + 200);
        self.next = to + 1;
        let rows =
            format!("INSERT INTO claim (id, name) SELECT g, 'row' FROM generate_series({from}, {to}) g");
        self.site.core.execute(&rows).await;
        let begun = Instant::now();
        self.site.wait_until_equal().await;
        let stall = begun.elapsed();
        eprintln!("{what}: rows arrived after {} ms", stall.as_millis());
        if stall > self.longest.0 {
            self.longest = (stall, what.to_owned());
        }
    }

    /// Asserts that nothing is lost, doubled or different, and that no lane was stopped.
    async fn end(self) {
        let (stall, what) = &self.longest;
        eprintln!("longest stall: {} ms ({what})", stall.as_millis());
        wait_until_current(&self.admin).await;
        self.site.assert_evidence_valid().await;
        self.site.assert_ledger_gapless().await;
        let epochs = "SELECT count(DISTINCT epoch) FROM slacktide.ledger";
        assert_eq!(
            self.site.store.number(epochs).await,
            1,
            "an operator opened an epoch"
        );
        for agent in self.agents {
            let log = agent.process.stderr();
            assert!(!log.contains("lane stopped"), "{log}");
            agent.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_feed_flows_through_faults_of_the_leader() {
    if !is_wanted() {
        return;
    }
    let mut flow = Flow::start("cluster_leader").await;
    for fault in Fault::ALL {
        let leader = leader_of(&flow.admin, &flow.site.nats, "DATA_insurer-a").await;
        fault.begin(&mut flow.site.nats, leader);
        flow.flows(&format!("leader, {fault:?}")).await;
        fault.end(&mut flow.site.nats, leader).await;
        flow.flows(&format!("leader, {fault:?}, ended")).await;
        wait_until_current(&flow.admin).await;
    }
    flow.end().await;
}

/// The bureau's agent is connected to each of them in turn, or to none of them.
#[tokio::test(flavor = "multi_thread")]
async fn cluster_feed_flows_while_each_server_is_cut_off() {
    if !is_wanted() {
        return;
    }
    let mut flow = Flow::start("cluster_cut").await;
    for index in 0..3 {
        flow.site.nats.cut_off(index);
        flow.flows(&format!("n{} cut off", index + 1)).await;
        flow.site.nats.reconnect(index);
        flow.flows(&format!("n{} back", index + 1)).await;
        wait_until_current(&flow.admin).await;
    }
    flow.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_feed_flows_through_restarts_and_a_lost_disk() {
    if !is_wanted() {
        return;
    }
    let mut flow = Flow::start("cluster_restarts").await;
    restart_one_by_one(&flow.admin, &mut flow.site.nats).await;
    flow.flows("each server restarted").await;
    flow.site.nats.restart_all().await;
    flow.flows("all servers restarted at once").await;
    lose_disk(&mut flow.site.nats, 0).await;
    flow.flows("a disk lost").await;
    // The new copy counts: without it, no stream had a majority now.
    wait_until_current(&flow.admin).await;
    flow.site.nats.server_mut(1).kill9();
    flow.flows("another server lost").await;
    flow.site.nats.server_mut(1).restart().await;
    flow.end().await;
}
