//! The demo: a core under load, the exchange, the agents, and a report from independent readers, on one machine.
//!
//! - [`data`] the core's data; [`load`] its business
//! - [`site_files`] keys and configuration files; [`server`] the exchange; [`child`] processes
//! - [`demo_run`] the running processes and their ordered shutdown
//! - [`live`] the live display
//! - [`compare`], [`freshness`], [`mod@report`] the results

mod child;
mod compare;
mod data;
mod demo_run;
mod freshness;
mod live;
pub(crate) mod load;
pub(crate) mod report;
mod server;
mod site_files;

use std::time::{Duration, Instant};

use ::audit::selection::Selection;
use ::audit::verify::{Findings, Trust, verify};
use ::exchange::port::Stream;
use runtime::exit::Exit;
use runtime::stop::{SecondSignal, Stop};
use schemas::encryption::DecryptionKeys;
use serde_json::Value;

use crate::cli::DemoArgs;
use crate::exchange_client::ExchangeClient;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Progress};
use crate::settings::{PartyFile, load as load_file};
use crate::status_page::{number, text};
use demo_run::DemoRun;
use live::{Display, Snapshot, sum_over_lanes};
use report::Report;
use site_files::SiteFiles;

/// How long everything may take to arrive after the end of the business. It takes a second or two; the rest is for a
/// host that is busy with other work, where the gate correctly waits for an idle period.
const DRAIN: Duration = Duration::from_secs(180);

/// After this time the display shows that the host is busy.
const BUSY_HOST_AFTER: Duration = Duration::from_secs(15);

/// Runs the demo to its end.
pub(crate) async fn run(args: DemoArgs) -> Outcome {
    let stop = Stop::on_signals(SecondSignal::Ignored).map_err(|error| Failure::internal(&error))?;
    let began = Instant::now();
    let mut site_files = SiteFiles::new(args.dir.as_deref())?;
    if args.keep {
        site_files.keep();
    }
    let mut demo_run = DemoRun::default();
    let outcome = tokio::select! {
        outcome = run_demo(&args, &mut site_files, &mut demo_run, began) => outcome,
        () = stop.token().cancelled() => {
            output::note("stopping");
            Err(Failure::new(Exit::Unfinished, "the demo was stopped before its end"))
        }
    };
    let outcome = match outcome {
        Ok(exit) if args.keep => {
            print_instructions(&site_files, &demo_run);
            demo_run.start_business(&site_files, 86_400, args.seed + 1)?;
            stop.token().cancelled().await;
            Ok(exit)
        }
        other => other,
    };
    demo_run.stop().await;
    outcome
}

async fn run_demo(
    args: &DemoArgs,
    site_files: &mut SiteFiles,
    demo_run: &mut DemoRun,
    began: Instant,
) -> Outcome {
    let mut display = Display::new();
    display.note(&format!("the demo runs in {}", site_files.path().display()));
    let waiting = Progress::wait("creating the core");
    let rows = demo_run::make_core(site_files, args.rows, args.seed).await?;
    drop(waiting);
    display.note(&format!(
        "created a core with {rows} rows; starting the exchange, one social agent and two pollers"
    ));
    demo_run.start(site_files).await?;
    let since = jiff::Timestamp::now().as_millisecond();
    demo_run.start_business(site_files, args.seconds, args.seed)?;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let (core, store) = (site_files.file("core.db"), site_files.file("store.db"));
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tick.tick().await;
        demo_run.check_running()?;
        let (social, business) = (demo_run.social_status().await, demo_run.phase());
        let now = Instant::now();
        let is_ended = demo_run.business_ended()?;
        let (what, until) = if !is_ended {
            ("the business is running", end)
        } else if now < end + BUSY_HOST_AFTER {
            ("the business has ended, waiting for the remaining rows", end)
        } else {
            (
                "this host is busy with other work, so the gate waits for an idle period",
                end + DRAIN,
            )
        };
        let left = until.saturating_duration_since(now);
        display.show(&Snapshot {
            phase: what,
            business: &business,
            social: &social,
            rows,
            left,
        });
        if is_ended {
            let done = blocking({
                let (core, store) = (core.clone(), store.clone());
                move || compare::caught_up(&core, &store).map_err(|error| Failure::internal(&error))
            })
            .await?;
            if done {
                break;
            }
            if Instant::now() > end + DRAIN {
                return Err(timeout_failure(&social));
            }
        }
    }
    display.note("all rows have arrived; comparing and verifying");
    let waiting = Progress::wait("comparing and verifying");
    let social = demo_run.social_status().await;
    if !args.keep {
        demo_run.stop_agents().await;
    }
    let findings = audit(site_files).await?;
    let report = blocking(move || {
        let compared = compare::compare(&core, &store).map_err(|error| Failure::internal(&error))?;
        let freshness = freshness::measure(&store, since).map_err(|error| Failure::internal(&error))?;
        let changed = demo_run::changed_since(&core, since).map_err(|error| Failure::internal(&error))?;
        Ok(report(&social, &compared, freshness, changed, &findings, began))
    })
    .await?;
    drop(waiting);
    output::report(&report, args.json)?;
    Ok(if report.agree { Exit::Done } else { Exit::Evidence })
}

/// PURE: returns why not all rows arrived in time.
fn timeout_failure(social: &Value) -> Failure {
    let (open, closed) = (number(social, "/gate/open_ms"), number(social, "/gate/closed_ms"));
    let (rows, reason) = (sum_over_lanes(social, "rows"), text(social, "/gate/reason"));
    // Open for less than a tenth of the time: the host is the cause.
    if open * 10 < open + closed {
        return Failure::new(
            Exit::TooBusy,
            format!(
                "this host was idle for only {:.1} of {:.1} s; {rows} rows were published and the demo could not end ({reason}); \
                 stop other work on this host, or run the demo again later",
                seconds(open),
                seconds(open + closed)
            ),
        );
    }
    Failure::new(
        Exit::Unfinished,
        format!(
            "not all rows arrived in time ({rows} rows published; gate: {reason}); run it again with --keep and check log/"
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

/// Verifies the streams with the auditor's credential, which is read-only.
async fn audit(site_files: &SiteFiles) -> Result<Findings, Failure> {
    let file = load_file::<PartyFile>(&site_files.file("auditor.toml"))?;
    let exchange = ExchangeClient::connect(file.value.exchange.command_options(file.folder())?).await?;
    let trust: Trust = file.value.trust_file(None).trust(DecryptionKeys::default());
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
    let reasons = social.pointer("/gate/closings_by_reason").cloned();
    let open = number(social, "/gate/open_ms");
    let mut report = Report {
        rows_core: compared.core,
        rows_published,
        rows_stored: compared.store,
        missing: compared.missing,
        duplicated: compared.duplicated,
        differing: compared.differing,
        rows_read_while_closed: number(social, "/driver/rows_while_closed"),
        rows_read_while_yielding: number(social, "/driver/rows_while_yielding"),
        statements_while_closed: number(social, "/driver/statements_while_closed"),
        chunks: findings.chunks,
        chunks_verified: findings.chunks_verified,
        receipts_verified: findings.receipts_verified,
        faults: findings.faults.iter().map(ToString::to_string).collect(),
        gate_closings: number(social, "/gate/closings"),
        gate_closing_reasons: reasons
            .and_then(|value| serde_json::from_value(value).ok())
            .unwrap_or_default(),
        gate_open_ms: open,
        gate_closed_ms: number(social, "/gate/closed_ms"),
        time_to_yield_us: number(social, "/gate/yields/max_us"),
        freshness,
        changed_while_running: changed,
        rows_per_second_open: rows_published * 1_000 / open.max(1),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..Report::default()
    };
    report.evaluate();
    report
}

/// Prints how to inspect a demo that was left running.
fn print_instructions(site_files: &SiteFiles, demo_run: &DemoRun) {
    let (at, url) = (site_files.path().display(), demo_run.url());
    let text = format!(
        "\nthe demo keeps running; Ctrl-C stops it and leaves {at}\n\n\
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
