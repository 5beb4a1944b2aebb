//! Checks the connection to the exchange: reachability, credential and round-trip time.

use std::path::Path;

use ::exchange::{Exchange, StatusExchange};
use nats::topology::status::StreamStatus;
use nats::topology::{Admin, Role};
use nats::{Fullness, JetStream};
use schemas::name::PartyName;

use super::certificates;
use super::finding::Findings;
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;
use crate::settings::exchange::ExchangeTable;

/// Connects and measures a round trip. Returns the connection, if there is one.
pub(crate) async fn examine(
    table: &ExchangeTable,
    folder: &Path,
    offline: bool,
    findings: &mut Findings,
) -> Option<ExchangeClient> {
    let options = match table.command_options(folder) {
        Ok(options) => options,
        Err(failure) => {
            findings.fail("connection key", &failure);
            return None;
        }
    };
    findings.ok("connection key", format!("{} can be read", table.credential()));
    if let Some(tls) = &table.tls {
        certificates::examine(tls, folder, jiff::Timestamp::now(), findings);
    }
    if offline {
        return None;
    }
    let exchange = match ExchangeClient::connect(options).await {
        Ok(exchange) => exchange,
        Err(error) => {
            findings.fail("exchange", &Failure::from(error));
            return None;
        }
    };
    match exchange.ping().await {
        Ok(took) => {
            let ms = took.as_millis();
            findings.ok(
                "exchange",
                format!("user {} is accepted, the round trip takes {ms} ms", table.user),
            );
            Some(exchange)
        }
        Err(error) => {
            findings.fail("exchange", &Failure::from(error));
            None
        }
    }
}

/// Reports whether this party may read a stream.
pub(crate) fn stream<T>(about: &str, answer: ::exchange::Result<T>, findings: &mut Findings) -> Option<T> {
    match answer {
        Ok(found) => {
            findings.ok(about, "exists and can be read");
            Some(found)
        }
        Err(error) => {
            findings.fail(about, &Failure::from(error));
            None
        }
    }
}

/// Reports whether the agent can publish its status. It works without it, so this is only a warning.
pub(crate) async fn status(exchange: &ExchangeClient, party: &PartyName, findings: &mut Findings) {
    match exchange.statuses(party).await {
        Ok(all) => findings.ok("published status", format!("can be read, {} agents", all.len())),
        Err(error) => findings.warn("published status", reporting::publication::describe(&error)),
    }
}

/// Reports each stream of the exchange that is almost full, for the administrator.
pub(crate) async fn fullness_of_all(exchange: &ExchangeClient, findings: &mut Findings) {
    let Some(exchange) = over_nats(exchange, findings) else {
        return;
    };
    match nats::topology::status(&Admin::new(exchange.clone())).await {
        Ok(status) => {
            let all: Vec<Fullness> = status.streams.iter().filter_map(StreamStatus::fullness).collect();
            report_fullness(&all, findings);
        }
        Err(error) => findings.fail("streams", &Failure::from(error)),
    }
}

/// Reports each almost full stream that a party publishes in.
pub(crate) async fn fullness(exchange: &ExchangeClient, role: Role, findings: &mut Findings) {
    let Some(exchange) = over_nats(exchange, findings) else {
        return;
    };
    match exchange.fullness(role).await {
        Ok(all) => report_fullness(&all, findings),
        Err(error) => findings.fail("streams", &Failure::from(error)),
    }
}

/// Returns the connection over NATS; a gateway does not show how full the streams are.
fn over_nats<'a>(exchange: &'a ExchangeClient, findings: &mut Findings) -> Option<&'a JetStream> {
    let found = exchange.nats();
    if found.is_none() {
        findings.ok(
            "stream usage",
            "is not shown over https://; the exchange's operator sees it with `slacktide exchange status`",
        );
    }
    found
}

fn report_fullness(all: &[Fullness], findings: &mut Findings) {
    let alarming: Vec<&Fullness> = all.iter().filter(|fullness| fullness.is_alarming()).collect();
    if alarming.is_empty() {
        let max_percent = all.iter().map(Fullness::percent).max().unwrap_or(0);
        findings.ok(
            "stream usage",
            format!("at most {max_percent} % of a limit is used"),
        );
    }
    for fullness in alarming {
        findings.warn(
            &format!("stream {}", fullness.stream),
            format!(
                "{} % of its {} bytes are used; raise max_bytes at the exchange, or retire old messages: a full stream refuses",
                fullness.percent(),
                fullness.max_bytes
            ),
        );
    }
}
