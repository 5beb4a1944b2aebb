//! Requests through the faults of the cluster.

use std::collections::BTreeSet;

use exchange::port::Stream;
use harness::NatsCluster;
use nats::topology::Admin;

use super::fault::{Fault, leader_of, wait_until_current};
use super::is_wanted;
use crate::requests::cases::{RequestCase, request_case};
use crate::requests::request_site::RequestSite;

/// Requests filed for each fault.
const FILED: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn cluster_requests_have_one_outcome_through_faults() {
    if !is_wanted() {
        return;
    }
    let mut site =
        RequestSite::<NatsCluster>::on_servers("cluster_requests", 30_000, "mode = \"open\"").await;
    let admin = Admin::new(site.exchange("admin").await);
    let bureau = site.social("bureau");
    let insurer = site.commercial("insurer-a", "insurer-a");
    insurer
        .wait_status("the store to be prepared", "/is_prepared", |is| *is == true)
        .await;
    let mut filed = 0;
    for fault in Fault::ALL {
        let leader = leader_of(&admin, &site.nats, "REPLIES_insurer-a").await;
        let more: Vec<RequestCase> = (filed..filed + FILED)
            .map(|number| request_case(number, "insurer-a"))
            .collect();
        filed += FILED;
        site.write_outbox_of_a(&more).await;
        fault.begin(&mut site.nats, leader);
        site.wait_stream(Stream::Confirms, filed as usize).await;
        fault.end(&mut site.nats, leader).await;
        wait_until_current(&admin).await;
    }
    let replies = site.stream(Stream::Replies).await;
    let subjects: BTreeSet<&str> = replies.iter().map(|reply| reply.subject.as_str()).collect();
    assert_eq!((replies.len(), subjects.len()), (filed as usize, filed as usize));
    site.assert_answers_stored_once(&replies).await;
    bureau.stop().await;
    insurer.stop().await;
}
