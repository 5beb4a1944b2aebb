//! The insurer's file: keys, consumer, store.

use ::commercial::evidence::{behind, behind_in_words, foreign, refill};
use ::commercial::receipts::last;
use ::exchange::{FeedExchange, RequestExchange};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{PartyName, RecipientName};
use schemas::receipt::Receipt;
use schemas::request::RequestId;
use store::Store;

use super::exchange;
use super::finding::Findings;
use super::{database, page};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;
use crate::settings::CommercialFile;
use crate::settings::database::DatabaseKind;

/// Warns if other users can read the store's file. New files have mode 0600; existing ones keep their mode.
fn file_mode(loaded: &Loaded<CommercialFile>, findings: &mut Findings) {
    use std::os::unix::fs::PermissionsExt as _;
    let table = &loaded.value.store;
    let Some(path) = table
        .path
        .as_deref()
        .filter(|_| table.kind == DatabaseKind::Sqlite)
    else {
        return;
    };
    let path = loaded.resolve(path);
    for end in ["", "-wal", "-shm"] {
        let mut file = path.clone().into_os_string();
        file.push(end);
        let mode = std::fs::metadata(&file).map_or(0, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            let file = file.to_string_lossy();
            findings.warn(
                "store",
                format!(
                    "{file} contains personal data, and other users of this host can open it: run chmod 600 {file}"
                ),
            );
        }
    }
}

/// Runs all checks.
pub(crate) async fn examine(loaded: &Loaded<CommercialFile>, offline: bool, findings: &mut Findings) {
    let (file, folder) = (&loaded.value, loaded.folder());
    match file.signing.key(folder) {
        Ok(key) => findings.ok("signing key", format!("public key {}", key.public())),
        Err(failure) => findings.fail("signing key", &failure),
    }
    if let Err(failure) = file.encryption.decryption_keys(folder) {
        findings.fail("encryption", &failure);
    }
    let connected = exchange::examine(&file.exchange, folder, offline, findings).await;
    if let Some(exchange) = &connected {
        let recipient = &file.commercial.recipient;
        let drained = exchange.is_drained(recipient).await;
        if let Some(drained) = exchange::stream(&format!("consumer {recipient}"), drained, findings) {
            findings.ok(
                "backlog",
                if drained {
                    "nothing waits at the exchange"
                } else {
                    "chunks wait at the exchange"
                },
            );
        }
        // An id that does not exist: the check is whether it may be read.
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let id = RequestId::from_idempotency_key(today, recipient, "slacktide doctor");
        let answer = exchange.request_status(recipient, &id).await;
        exchange::stream("streams of requests", answer, findings);
        exchange::fullness(exchange, Role::Recipient, findings).await;
        if let (true, Ok(party)) = (file.status.publish, PartyName::new(recipient.as_str())) {
            exchange::status(exchange, &party, findings).await;
        }
    }
    if offline {
        return;
    }
    page::examine(file.health.as_ref(), folder, findings).await;
    if let (DatabaseKind::Postgres, Some(url)) = (file.store.kind, &file.store.url) {
        match url.read(folder) {
            Ok(url) => {
                let found = store::security(url.expose()).await;
                database::security("store connection", found.map_err(Failure::from), findings);
            }
            Err(failure) => findings.fail("store connection", &failure),
        }
    }
    match compose::store(loaded) {
        Ok(store) => {
            let prepared = store.prepare().await;
            file_mode(loaded, findings);
            match prepared {
                Ok(()) => findings.ok("store", "is reachable, and its own tables exist"),
                Err(error) => findings.fail("store", &Failure::from(error)),
            }
            match store.reports().await {
                Ok(lanes) => {
                    for lane in &lanes {
                        if let Some(why) = &lane.pending_change {
                            findings.warn("lane", why.clone());
                        }
                        if let Some(why) = &lane.refused {
                            findings.warn("lane", why.to_string());
                        }
                    }
                    for lane in lanes.iter().filter(|lane| lane.stopped.is_some()) {
                        let why = lane.stopped.as_deref().unwrap_or_default();
                        findings.warn(
                            "lane",
                            format!(
                                "{} is stopped: {why}; open a new epoch with `slacktide feed rewind`",
                                lane.lane
                            ),
                        );
                    }
                    findings.ok("ledger", format!("{} lanes", lanes.len()));
                }
                Err(error) => findings.fail("ledger", &Failure::from(error)),
            }
            if let Some(exchange) = &connected {
                receipts(exchange, store.as_ref(), &file.commercial.recipient, findings).await;
            }
            store.close().await;
        }
        Err(failure) => findings.fail("store", &failure),
    }
}

/// Compares the store with the last receipt of each lane, as the agent does before it fetches.
async fn receipts(
    exchange: &ExchangeClient,
    store: &dyn Store,
    recipient: &RecipientName,
    findings: &mut Findings,
) {
    let read = async {
        let mut receipts = Vec::new();
        for lane in exchange.receipted_lanes(recipient).await? {
            receipts.extend(last(exchange, &lane).await?);
        }
        Ok::<_, ::exchange::Error>(receipts)
    };
    let receipts: Vec<Receipt> = match read.await {
        Ok(receipts) => receipts.into_iter().map(|(receipt, _)| receipt).collect(),
        Err(error) => return findings.fail("receipts", &Failure::from(error)),
    };
    // The store is read after the receipts, so that it can only be ahead of them.
    let (identity, lanes) = match (store.identity().await, store.reports().await) {
        (Ok(identity), Ok(lanes)) => (identity, lanes),
        (Err(error), _) | (_, Err(error)) => return findings.fail("receipts", &Failure::from(error)),
    };
    if let Some(other) = foreign(&identity, &receipts) {
        return findings.fail("receipts", &Failure::new(Exit::Evidence, other));
    }
    let mut is_good = true;
    for receipt in &receipts {
        let lane = receipt.lane();
        let report = lanes.iter().find(|report| report.lane == lane);
        if let Some(held) = behind(receipt, report) {
            is_good = false;
            let (what, remedy) = (behind_in_words(receipt, held), refill(&lane, "receipt"));
            findings.warn("receipts", format!("lane {lane}: {what}; run: {remedy}"));
        }
    }
    if is_good {
        findings.ok("receipts", "the store holds everything that it acknowledged");
    }
}
