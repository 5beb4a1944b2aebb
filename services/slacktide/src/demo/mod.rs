//! All of it on one machine: a core under load, the exchange, the agents, and a report by
//! readers of their own.
//!
//! - [`data`] the core's data; [`load`] its business
//! - [`workshop`] keys and configuration files; [`server`] the exchange; [`child`] processes
//! - [`stage`] what runs, and its stop in order
//! - [`page`], [`live`] what is seen meanwhile
//! - [`compare`], [`freshness`], [`mod@report`] what is found

mod child;
mod compare;
mod data;
mod freshness;
mod live;
pub(crate) mod load;
pub(crate) mod page;
mod report;
mod server;
mod stage;
mod workshop;

use std::time::{Duration, Instant};

use ::audit::selection::Selection;
use ::audit::verify::{Findings, Trust, verify};
use ::exchange::port::Stream;
use nats::JetStream;
use runtime::exit::Exit;
use runtime::stop::{SecondSignal, Stop};
use serde_json::Value;

use crate::cli::DemoArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{PartyFile, load as load_file};
use live::{Live, Look};
use page::{number, over_lanes};
use report::Report;
use stage::Stage;
use workshop::Workshop;

/// How long after the end of the business everything may take to arrive. It takes a second or two; the rest is for a
/// host that is busy with something else, where the gate waits for an idle stretch as it is meant to.
const DRAIN: Duration = Duration::from_secs(180);

/// After this long it is the host that is waited for, and that is said.
const SURELY_BUSY: Duration = Duration::from_secs(15);

/// Runs the demo to its end.
pub(crate) async fn run(args: DemoArgs) -> Outcome {
    let stop = Stop::on_signals(SecondSignal::Ignored).map_err(|error| Failure::internal(&error))?;
    let began = Instant::now();
    let mut workshop = Workshop::new(args.dir.as_deref())?;
    if args.keep {
        workshop.keep();
    }
    let mut stage = Stage::default();
    let outcome = tokio::select! {
        outcome = play(&args, &mut workshop, &mut stage, began) => outcome,
        () = stop.token().cancelled() => {
            output::note("stopping");
            Err(Failure::new(Exit::Unfinished, "the demo was stopped before its end"))
        }
    };
    let outcome = match outcome {
        Ok(exit) if args.keep => {
            around(&workshop, &stage);
            stage.business(&workshop, 86_400, args.seed + 1)?;
            stop.token().cancelled().await;
            Ok(exit)
        }
        other => other,
    };
    stage.stop().await;
    outcome
}

async fn play(args: &DemoArgs, workshop: &mut Workshop, stage: &mut Stage, began: Instant) -> Outcome {
    let mut live = Live::new();
    live.say(&format!("the demo works in {}", workshop.path().display()));
    let rows = stage::make_core(workshop, args.rows, args.seed).await?;
    live.say(&format!(
        "a core with {rows} rows is made; starting the exchange, one social agent and two pollers"
    ));
    stage.start(workshop).await?;
    let since = jiff::Timestamp::now().as_millisecond();
    stage.business(workshop, args.seconds, args.seed)?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let (core, store) = (workshop.at("core.db"), workshop.at("store.db"));
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        stage.must_run()?;
        let (social, business) = (stage.social_status().await, stage.phase());
        let now = Instant::now();
        let over = stage.business_ended()?;
        let (what, until) = if !over {
            ("the business works", end)
        } else if now < end + SURELY_BUSY {
            ("the business has ended, the rest is arriving", end)
        } else {
            (
                "this host is busy with other work, so the gate waits for an idle stretch",
                end + DRAIN,
            )
        };
        let left = until.saturating_duration_since(now);
        live.show(&Look {
            stage: what,
            business: &business,
            social: &social,
            rows,
            left,
        });
        if over {
            let done = blocking({
                let (core, store) = (core.clone(), store.clone());
                move || compare::caught_up(&core, &store).map_err(|error| Failure::internal(&error))
            })
            .await?;
            if done {
                break;
            }
            if Instant::now() > end + DRAIN {
                return Err(late(&social));
            }
        }
    }
    live.say("everything has arrived; comparing and verifying");
    let social = stage.social_status().await;
    if !args.keep {
        stage.stop_agents().await;
    }
    let findings = audit(workshop).await?;
    let report = blocking(move || {
        let compared = compare::compare(&core, &store).map_err(|error| Failure::internal(&error))?;
        let freshness = freshness::measure(&store, since).map_err(|error| Failure::internal(&error))?;
        let changed = stage::changed_since(&core, since).map_err(|error| Failure::internal(&error))?;
        Ok(report(&social, &compared, freshness, changed, &findings, began))
    })
    .await?;
    if args.json {
        output::json(&report)?;
    } else {
        output::lines(report.lines());
    }
    Ok(if report.agree { Exit::Done } else { Exit::Evidence })
}

/// PURE: why not everything arrived in time.
fn late(social: &Value) -> Failure {
    let (open, shut) = (number(social, "/gate/open_ms"), number(social, "/gate/shut_ms"));
    let (rows, reason) = (over_lanes(social, "rows"), page::text(social, "/gate/reason"));
    // Open for less than a tenth of the time: it was the host and not the path.
    if open * 10 < open + shut {
        return Failure::new(
            Exit::TooBusy,
            format!(
                "this host was idle for only {:.1} of {:.1} s, so {rows} rows were moved and the demo could not end ({reason}); \
                 end what else works here, or run it again later",
                seconds(open),
                seconds(open + shut)
            ),
        );
    }
    Failure::new(
        Exit::Unfinished,
        format!(
            "not everything arrived in time ({rows} rows moved, the gate says: {reason}); run it again with --keep and look at log/"
        ),
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of one run are exact in a float"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::internal(&error))?
}

/// Verifies the streams with the auditor's credential, which can only read.
async fn audit(workshop: &Workshop) -> Result<Findings, Failure> {
    let file = load_file::<PartyFile>(&workshop.at("auditor.toml"))?;
    let exchange = JetStream::connect(file.value.exchange.command(file.folder())?).await?;
    let here = file.value.origin();
    let trust = file.value.trust;
    let trust = Trust {
        chunks: trust.chunks,
        receipts: trust.receipts,
        entries: trust.entries,
        here,
        ..Trust::default()
    };
    verify(&exchange, &trust, &Selection::all(Stream::Data), None)
        .await
        .map_err(|error| Failure::new(Exit::Exchange, error.to_string()))
}

fn report(
    social: &Value,
    compared: &compare::Findings,
    freshness: freshness::Freshness,
    changed: u64,
    findings: &Findings,
    began: Instant,
) -> Report {
    let rows_published = findings.lanes.values().map(|lane| lane.rows).sum();
    let reasons = social.pointer("/gate/shuts_by_reason").cloned();
    let open = number(social, "/gate/open_ms");
    let mut report = Report {
        rows_core: compared.core,
        rows_published,
        rows_stored: compared.store,
        missing: compared.missing,
        doubled: compared.doubled,
        differing: compared.differing,
        rows_read_while_shut: number(social, "/driver/rows_while_shut"),
        rows_read_while_yielding: number(social, "/driver/rows_while_yielding"),
        statements_while_shut: number(social, "/driver/statements_while_shut"),
        chunks: findings.chunks,
        chunks_verified: findings.chunks_verified,
        receipts_verified: findings.receipts_verified,
        faults: findings.faults.iter().map(ToString::to_string).collect(),
        gate_shuts: number(social, "/gate/shuts"),
        gate_shut_reasons: reasons
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default(),
        gate_open_ms: open,
        gate_shut_ms: number(social, "/gate/shut_ms"),
        time_to_yield_ms: seconds(number(social, "/gate/yields/max_us")),
        freshness,
        changed_while_running: changed,
        rows_per_second_open: rows_published * 1_000 / open.max(1),
        seconds: began.elapsed().as_secs_f64(),
        ..Report::default()
    };
    report.judge();
    report
}

/// How to look around in a demo that was left running.
fn around(workshop: &Workshop, stage: &Stage) {
    let (at, url) = (workshop.path().display(), stage.url());
    let text = format!(
        "\neverything is left running; Ctrl-C stops it and leaves {at}\n\n\
         the exchange, with the auditor's and the administrator's credential:\n  \
         nats --server {url} --nkey {at}/keys/auditor/connect.seed --inbox-prefix _INBOX_auditor --js-api-prefix JS.hub.API stream info DATA_insurer-a\n  \
         nats --server {url} --nkey {at}/keys/admin/connect.seed --inbox-prefix _INBOX_admin consumer report DATA_insurer-a\n  \
         slacktide exchange status --config {at}/admin.toml\n  \
         slacktide audit verify --config {at}/auditor.toml\n\n\
         the core and the store:\n  \
         sqlite3 {at}/core.db  'SELECT setl_id, medfee_sumamt FROM setl ORDER BY updt_time DESC LIMIT 5'\n  \
         sqlite3 {at}/store.db 'SELECT setl_id, medfee_sumamt, _slacktide_epoch, _slacktide_number FROM setl LIMIT 5'\n\n\
         the agents:\n  \
         curl -s http://$(cat {at}/social.addr)/status\n  \
         curl -s http://$(cat {at}/commercial-1.addr)/metrics"
    );
    output::notes(text.lines());
}
