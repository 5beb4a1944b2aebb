//! The bureau's file: keys, streams, clock, gate, source and its privileges.

use gate::{Gate, Orders, OwnPids, Permit};
use jiff::Timestamp;
use nats::topology::Role;
use runtime::config::Loaded;
use runtime::exit::Exit;
use schemas::name::{Lane, RecipientName};
use source::{FeedReader, FenceReading, Source};

use super::exchange;
use super::finding::Findings;
use super::lanes::{self, Tails};
use super::masking;
use super::{database, kinds, page, priority};
use crate::commands::{control_records, orders};
use crate::compose;
use crate::exchange_client::ExchangeClient;
use crate::failure::Failure;
use crate::settings::database::DatabaseKind;
use crate::settings::{self, SocialFile};
use ::exchange::port::Stream;
use ::exchange::{AuditExchange, FeedExchange, LeaseExchange, RequestExchange};

/// The maximum clock skew that is not reported.
const MAX_SKEW_MS: i64 = 2_000;

/// Runs all checks.
pub(crate) async fn examine(loaded: &Loaded<SocialFile>, offline: bool, findings: &mut Findings) {
    let (file, folder) = (&loaded.value, loaded.folder());
    match file.signing.key(folder) {
        Ok(key) => findings.ok("signing key", format!("public key {}", key.public())),
        Err(failure) => findings.fail("signing key", &failure),
    }
    masking::check_lists(loaded, findings);
    check_secrets(loaded, findings);
    let mut tails = Tails::new();
    if let Some(exchange) = exchange::examine(&file.exchange, folder, offline, findings).await {
        streams(&exchange, file, findings).await;
        exchange::fullness(&exchange, Role::Bureau, findings).await;
        if file.status.publish {
            exchange::status(&exchange, &file.social.name, findings).await;
        }
        orders(loaded, &exchange, findings).await;
        tails = lanes::read(loaded, &exchange, findings).await;
    }
    gate(loaded, findings).await;
    priority::examine(loaded, offline, findings).await;
    kinds::tokens(&file.kinds, findings);
    if offline {
        return;
    }
    page::examine(file.health.as_ref(), folder, findings).await;
    if file.source.kind == DatabaseKind::Postgres {
        security(loaded, findings).await;
        grants(loaded, findings).await;
    }
    source(loaded, &tails, findings).await;
}

/// Checks keys, requests and the high-water file, as the agent reads them at its start.
fn check_secrets(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    let (file, folder) = (&loaded.value, loaded.folder());
    match file.encryption.encryption_keys(folder) {
        Ok(keys) if keys.recipients.is_empty() => {}
        Ok(keys) => findings.ok("encryption", format!("to {} recipients", keys.recipients.len())),
        Err(failure) => findings.fail("encryption", &failure),
    }
    if let Ok(key) = file.signing.key(folder)
        && let Err(failure) = settings::requests::answer_config(loaded, &key, None)
    {
        findings.fail("requests", &failure);
    }
    if let Some(file) = control_records::high_water(loaded)
        && let Err(error) = file.read()
    {
        findings.fail("high_water", &Failure::new(Exit::Evidence, error.to_string()));
    }
}

/// Checks that the orders in force can be read and none is lost; otherwise the agent holds everything.
async fn orders(loaded: &Loaded<SocialFile>, exchange: &ExchangeClient, findings: &mut Findings) {
    let Ok(key) = loaded.value.signing.key(loaded.folder()) else {
        return;
    };
    match orders::find_problem(loaded, exchange, &key).await {
        Ok(None) => findings.ok("orders", "can be read, and none is lost"),
        Ok(Some(problem)) => findings.warn("orders", problem),
        Err(failure) => findings.fail("orders", &failure),
    }
}

async fn streams(exchange: &ExchangeClient, file: &SocialFile, findings: &mut Findings) {
    let lease = exchange::stream(
        "stream LEASES",
        exchange.lease(&file.social.source).await,
        findings,
    );
    if let Some(lease) = lease.flatten() {
        let skew = Timestamp::now().as_millisecond() - lease.stored_at.as_millisecond();
        if skew < -MAX_SKEW_MS {
            findings.warn(
                "clock",
                format!("is {} ms behind the exchange's; set both by NTP", -skew),
            );
        } else {
            findings.ok("clock", "is not behind the exchange's");
        }
    }
    let lanes = file.feeds.iter().flat_map(|feed| {
        let lane = |recipient: &schemas::name::RecipientName| Lane {
            recipient: recipient.clone(),
            feed: feed.name.clone(),
        };
        feed.recipients.iter().map(lane).collect::<Vec<_>>()
    });
    // Checking the first lane is enough: permissions are per stream and party.
    if let Some(lane) = lanes.into_iter().next() {
        let name = |kind: &str| format!("stream {kind}_{}", lane.recipient);
        exchange::stream(&name("DATA"), exchange.last_chunk(&lane).await, findings);
        exchange::stream(&name("RECEIPTS"), exchange.last_receipt(&lane).await, findings);
    }
    if !file.kinds.is_empty() {
        requests(exchange, findings).await;
    }
}

/// Checks the streams of requests, one for each recipient.
async fn requests(exchange: &ExchangeClient, findings: &mut Findings) {
    let listed = exchange.parties(Stream::Requests).await;
    let Some(parties) = exchange::stream("streams of requests", listed, findings) else {
        return;
    };
    for party in parties {
        if let Ok(recipient) = RecipientName::new(party.as_str()) {
            let name = format!("stream REQUESTS_{party}");
            exchange::stream(&name, exchange.fetch_requests(&recipient, 1, 1).await, findings);
        }
    }
}

/// The maximum number of samples to wait for missing signals.
const MAX_SAMPLES: u32 = 30;

async fn gate(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    let file = &loaded.value;
    let stop = tokio_util::sync::CancellationToken::new();
    let probes = match crate::probes::signals(loaded) {
        Ok(probes) => probes,
        Err(error) => return findings.fail("gate", &error),
    };
    match Gate::start(
        &compose::gate(loaded),
        &OwnPids::new(),
        probes,
        Orders::default(),
        &stop,
    ) {
        Ok((gate, sampling)) => {
            let mut verdicts = gate.subscribe();
            // CPU is measured between two readings.
            let wait = file.gate.interval.get() * 4;
            for sample in 0..MAX_SAMPLES {
                let _ = tokio::time::timeout(wait, verdicts.changed()).await;
                // Probes run one after the other, a second apart; a signal that never answers is reported below.
                if sample >= 2 && gate.status().failures.is_empty() {
                    break;
                }
            }
            let status = gate.status();
            let failed = status.readings_milli.values().any(Option::is_none);
            let what = format!("is {:?} now: {}", status.state, status.reason).to_lowercase();
            if failed {
                findings.warn("gate", what)
            } else {
                findings.ok("gate", what)
            }
            stop.cancel();
            sampling.join().await;
        }
        Err(error) => findings.fail("gate", &Failure::usage(error.to_string())),
    }
}

/// Checks the security of the connection to the core.
async fn security(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    let Some(url) = &loaded.value.source.url else {
        return;
    };
    match url.read(loaded.folder()) {
        Ok(url) => {
            let found = source::postgres::security(url.expose()).await;
            database::security("source connection", found.map_err(Failure::from), findings);
        }
        Err(failure) => findings.fail("source connection", &failure),
    }
}

async fn grants(loaded: &Loaded<SocialFile>, findings: &mut Findings) {
    let Some(url) = &loaded.value.source.url else {
        return;
    };
    let Ok(url) = url.read(loaded.folder()) else {
        return;
    };
    let Some(role) = role(url.expose()) else {
        findings.warn(
            "grants",
            "the url names no user, so no GRANT can be written; name the read-only account in it",
        );
        return;
    };
    for feed in &loaded.value.feeds {
        match source::postgres::grants(url.expose(), &feed.definition(), &role).await {
            Ok(statements) => findings.grant(statements),
            Err(error) => findings.warn("grants", format!("feed {}: {error}", feed.name)),
        }
    }
    for kind in &loaded.value.kinds {
        let Some(feed) = kinds::as_feed(kind) else {
            continue;
        };
        match source::postgres::grants(url.expose(), &feed, &role).await {
            Ok(statements) => findings.grant(statements),
            Err(error) => findings.warn("grants", format!("kind {}: {error}", kind.name)),
        }
    }
}

/// Returns the user of a connection string.
fn role(url: &str) -> Option<String> {
    let url = servers::Url::parse(url).ok()?;
    url.user().filter(|user| !user.is_empty()).map(str::to_owned)
}

/// Opens every feed under a gate that is always open. Reads keys and cursors, but no other value.
async fn source(loaded: &Loaded<SocialFile>, tails: &Tails, findings: &mut Findings) {
    let gate = Gate::fixed_open();
    let source: std::sync::Arc<dyn Source> = match compose::source(loaded, gate.closed_flag()) {
        Ok(source) => source,
        Err(failure) => return findings.fail("source", &failure),
    };
    findings.ok(
        "source",
        "is checked regardless of the gate, because an operator runs the doctor",
    );
    for feed in &loaded.value.feeds {
        let permit = gate.permit().await;
        let about = format!("feed {}", feed.name);
        let tails = tails.get(&feed.name).map(Vec::as_slice).unwrap_or_default();
        let mut opened = source.open_feed(&feed.definition(), &permit).await;
        if let Ok(reader) = &mut opened {
            masking::check_columns(feed, reader.schema(), findings);
            for missing in reader.missing_indexes() {
                findings.warn(&about, missing.to_string());
            }
            lanes::set_positions(tails, reader.as_mut());
        } else {
            lanes::examine(feed, tails, None, findings);
        }
        match opened {
            Ok(mut reader) => match run_checks(reader.as_mut(), &permit, &about, findings).await {
                Ok(reading) => {
                    lanes::examine(feed, tails, Some((reader.as_ref(), &reading)), findings);
                    fence(&about, reader.as_ref(), reading, findings);
                }
                Err(error) => {
                    lanes::examine(feed, tails, None, findings);
                    findings.fail(&about, &Failure::from(error));
                }
            },
            Err(error) => findings.fail(&about, &Failure::from(error)),
        }
    }
    kinds::examine(&loaded.value.kinds, source.as_ref(), &gate, findings).await;
    source.close().await;
}

/// Reports a readable feed, and the transaction that holds its fence.
fn fence(about: &str, reader: &dyn FeedReader, reading: FenceReading, findings: &mut Findings) {
    match reading.holder {
        Some(holder) => findings.warn(
            about,
            format!(
                "its fence is held by a {} of {} ({}) since {}; end it, or the feed waits",
                holder.what, holder.role, holder.application, holder.since
            ),
        ),
        None => findings.ok(
            about,
            format!(
                "{} columns, cursor and fence are valid",
                reader.schema().columns.len()
            ),
        ),
    }
}

/// Reads the fence, and runs the checks that the agent makes while it runs.
async fn run_checks(
    reader: &mut dyn FeedReader,
    permit: &Permit,
    about: &str,
    findings: &mut Findings,
) -> source::Result<FenceReading> {
    let reading = reader.fence(permit).await?;
    let began = tokio::time::Instant::now();
    while reader.run_next_check(permit).await? && began.elapsed() < MAX_CHECK_TIME {}
    let evidence = reader.evidence();
    for (code, reason) in evidence.iter().flat_map(|evidence| evidence.unverified.iter()) {
        findings.warn(about, format!("{code}: {}; {}", reason.detail, reason.remedy));
    }
    Ok(reading)
}

/// The time limit of a feed's checks; the agent makes the others.
const MAX_CHECK_TIME: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_is_parsed_from_both_url_formats() {
        assert_eq!(role("postgres://reader:p%40@h:5432/d").as_deref(), Some("reader"));
        assert_eq!(role("postgresql://reader@h/d").as_deref(), Some("reader"));
        assert_eq!(role("host=h user=reader dbname=d").as_deref(), Some("reader"));
        assert_eq!(role("postgres://h/d"), None);
    }
}
