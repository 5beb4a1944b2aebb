//! The connection of any file: reached, let in, and how long it takes.

use std::path::Path;

use ::exchange::Exchange;
use nats::JetStream;

use super::certificates;
use super::finding::Findings;
use crate::failure::Failure;
use crate::settings::exchange::ExchangeTable;

/// Connects and asks once; the connection, where there is one.
pub(crate) async fn examine(
    table: &ExchangeTable,
    folder: &Path,
    offline: bool,
    findings: &mut Findings,
) -> Option<JetStream> {
    let options = match table.command(folder) {
        Ok(options) => options,
        Err(failure) => {
            findings.fail("connection key", &failure);
            return None;
        }
    };
    findings.ok("connection key", format!("{} can be read", table.seed));
    if let Some(tls) = &table.tls {
        certificates::examine(tls, folder, jiff::Timestamp::now(), findings);
    }
    if offline {
        return None;
    }
    let exchange = match JetStream::connect(options).await {
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
                format!("user {} is let in, an answer takes {ms} ms", table.user),
            );
            Some(exchange)
        }
        Err(error) => {
            findings.fail("exchange", &Failure::from(error));
            None
        }
    }
}

/// Notes whether a stream may be read as this party must.
pub(crate) fn stream<T>(about: &str, answer: ::exchange::Result<T>, findings: &mut Findings) -> Option<T> {
    match answer {
        Ok(found) => {
            findings.ok(about, "is there and may be read");
            Some(found)
        }
        Err(error) => {
            findings.fail(about, &Failure::from(error));
            None
        }
    }
}
