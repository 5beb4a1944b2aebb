//! The two configuration files, as a user would write them.

use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::rig::Rig;
use crate::{Outcome, rows};

/// How the agents reach the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// NATS.
    Nats,
    /// A gateway, over HTTPS.
    Https,
}

/// A feed, as far as it differs between measurements.
pub(crate) struct Feed<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// The query.
    pub(crate) sql: String,
    /// More lines of its table.
    pub(crate) more: &'a str,
}

/// Writes the bureau's file, for one feed.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn social(rig: &Rig, transport: Transport, recipient: &str, feed: &Feed<'_>) -> Outcome<PathBuf> {
    let text = format!(
        r#"[social]
name = "bureau"
source = "core"

{exchange}
[signing]
seed = {{ file = "bureau.sign" }}

[trust.receipts]
{recipient} = ["{receipts}"]

[source]
kind = "postgres"
url = {{ value = "{source}" }}

[gate]
mode = "open"

[[feed]]
name = "{name}"
sql = "{sql}"
cursor = {cursor:?}
cursor_set_by = "transaction"
key = ["{key}"]
money = {money:?}
recipients = ["{recipient}"]
{more}
"#,
        name = feed.name,
        more = feed.more,
        exchange = exchange(rig, transport, "bureau"),
        receipts = rig.receipt_key.public(),
        source = rig.source.url_as(&rig.reader),
        sql = feed.sql,
        cursor = rows::CURSOR,
        key = rows::KEY,
        money = rows::MONEY,
    );
    let path = rig.file("social.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// Writes the insurer's file, for one store.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn commercial(rig: &Rig, transport: Transport, recipient: &str, store: &str) -> Outcome<PathBuf> {
    let text = format!(
        r#"[commercial]
recipient = "{recipient}"

{exchange}
[signing]
seed = {{ file = "{recipient}.sign" }}

[trust]
chunks = ["{chunks}"]

[store]
kind = "postgres"
url = {{ value = "{store}" }}

[poll]
interval = "{POLL}"
"#,
        exchange = exchange(rig, transport, recipient),
        chunks = rig.chunk_key.public(),
    );
    let path = rig.file("commercial.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// Returns the `[exchange]` table of a party.
fn exchange(rig: &Rig, transport: Transport, user: &str) -> String {
    match (transport, &rig.gateway) {
        (Transport::Https, Some(gateway)) => format!(
            "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\ntoken = {{ file = \"{user}.token\" }}\n\n\
             [exchange.tls]\nca = \"ca.pem\"\n",
            gateway.url()
        ),
        _ => format!(
            "[exchange]\nurl = \"{}\"\nuser = \"{user}\"\nseed = {{ file = \"{user}.seed\" }}\n",
            rig.exchange.url()
        ),
    }
}

/// The poll interval. Short, as the last interval is part of the measurement.
pub(crate) const POLL: &str = "200ms";
