//! What the exchange's operator can use: the administrator's connection, any party's credential, and the streams' own files.

use std::fs;

use bytes::Bytes;
use exchange::port::{ReadFrom, Stream};
use exchange::{AuditExchange, FeedExchange, Published, Stored};
use nats::topology::Admin;
use nats::{JetStream, Options, Tls};
use rusqlite::Connection;
use schemas::name::Lane;
use schemas::subject::Subject;

use super::site::Site;

/// Connects as a user of the account files, with a seed.
async fn connect(site: &Site, user: &str, seed: &str) -> JetStream {
    let tls = Tls {
        ca: site.file("admin/ca.pem"),
        client: Some((site.file("admin/client.pem"), site.file("admin/client.key"))),
    };
    let url = format!("tls://127.0.0.1:{}", site.nats.port());
    JetStream::connect(Options::command(url, user, seed).over(Some(tls)))
        .await
        .unwrap()
}

pub(super) async fn admin(site: &Site) -> Admin {
    Admin::new(connect(site, "admin", &site.read("admin/connect.seed")).await)
}

/// Returns every chunk of each recipient, in the exchange's order.
pub(super) async fn chunks(site: &Site) -> Vec<Stored> {
    let auditor = connect(site, "auditor", &site.read("auditor/connect.seed")).await;
    let mut all: Vec<Stored> = Vec::new();
    for party in auditor.parties(Stream::Data).await.unwrap() {
        let (filter, mut next) = (format!("data.{party}.>"), 1);
        loop {
            let from = ReadFrom::Sequence(next);
            let more = auditor.read(Stream::Data, from, &filter, 500).await.unwrap();
            let Some(last) = more.last() else { break };
            next = last.sequence + 1;
            all.extend(more);
        }
    }
    all
}

/// Replaces all chunks with these messages: the stream is deleted with its files, created again, and filled under a credential
/// to which the operator has given the bureau's rights.
pub(super) async fn replace_chunks(site: &mut Site, recipients: &[&str], messages: &[(Lane, Vec<u8>)]) {
    let own = nkeys::KeyPair::new_user();
    let public = own.public_key();
    site.run_ok(&[
        "exchange", "party", "key", "bureau", "--add", &public, "--dir", "exchange",
    ])
    .await;
    site.nats.stop().await;
    for recipient in recipients {
        let stream = format!("jetstream/HUB/streams/DATA_{recipient}");
        fs::remove_dir_all(site.nats.store().join(stream)).unwrap();
    }
    site.nats.restart().await;
    site.apply(recipients).await;
    let as_bureau = connect(site, "bureau", &own.seed().unwrap()).await;
    let mut last: std::collections::BTreeMap<Lane, u64> = std::collections::BTreeMap::new();
    for (lane, bytes) in messages {
        let expected = last.get(lane).copied().unwrap_or(0);
        let published = as_bureau
            .publish_chunk(lane, Bytes::copy_from_slice(bytes), expected)
            .await
            .unwrap();
        let Published::Done { sequence } = published else {
            panic!("another party published to {lane}");
        };
        last.insert(lane.clone(), sequence);
    }
}

pub(super) fn lane(message: &Stored) -> Lane {
    match message.subject.parse() {
        Ok(Subject::Data(lane)) => lane,
        other => panic!("{}: {other:?}", message.subject),
    }
}

/// Returns the number of rows of a table; `None` while it does not exist.
pub(super) fn claims(store: &Connection, table: &str) -> Option<i64> {
    let count = format!("SELECT count(*) FROM \"{table}\"");
    store.query_row(&count, [], |row| row.get(0)).ok()
}
