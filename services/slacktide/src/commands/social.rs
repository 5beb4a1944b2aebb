//! `slacktide social run|check`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gate::{Gate, OwnPids};
use nats::JetStream;
use runtime::config::Loaded;
use runtime::exit::Exit;
use runtime::health::Report;
use runtime::metrics::MetricsText;
use schemas::load::GateState;
use social::{Social, SocialParts, SocialView};

use super::agent;
use crate::compose;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{SocialFile, load};

/// Puts this process behind others, as far as it may by itself; never a reason not to run.
pub(crate) fn lower(path: &Path) {
    // A file with a fault is told by the command itself.
    let Ok(loaded) = load::<SocialFile>(path) else {
        return;
    };
    if loaded.value.priority.own {
        for step in priority::own::lower() {
            tracing::info!(%step, "own priority");
        }
    }
}

/// Runs the agent until it is told to stop.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    let loaded: Loaded<SocialFile> = load(&path)?;
    let (file, folder) = (&loaded.value, loaded.folder());
    let key = file.signing.key(folder)?;
    let options = file.exchange.agent(folder)?;
    let stop = agent::stop()?;
    let own = OwnPids::new();
    // The gate outlives the order to stop: work that is under way ends under its verdicts.
    let sampling_stop = tokio_util::sync::CancellationToken::new();
    let (gate, sampling) = Gate::start(&compose::gate(&loaded), &own, Vec::new(), &sampling_stop)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let source = compose::source(&loaded, gate.shut_flag())?;
    let helping = compose::kernel_help(&loaded, gate.clone(), Arc::clone(&source), sampling_stop.clone());
    let telling = compose::tell_backends(Arc::clone(&source), own, sampling_stop.clone());
    let exchange = tokio::select! {
        exchange = JetStream::connect(options) => exchange?,
        () = stop.token().cancelled() => return Ok(Exit::Done),
    };
    let agent = Social::new(SocialParts {
        exchange: Arc::new(exchange),
        source,
        source_name: file.social.source.clone(),
        gate,
        feeds: compose::plans(file),
        key,
        trusted_publishers: file.trust.chunks.clone(),
        trusted_receipts: file.trust.receipts.clone(),
        instance: social::new_instance(),
        holder: compose::holder(),
        options: compose::social_options(file),
    })
    .map_err(|error| Failure::usage(error.to_string()))?;
    agent::serve(&loaded, file.health.as_ref(), Arc::new(Page(agent.view())), &stop).await?;
    let outcome = agent::until_stopped(&stop, agent.run(stop.token().clone()), |error| {
        Failure::internal(&error)
    })
    .await;
    sampling_stop.cancel();
    sampling.joined().await;
    let _ = telling.await;
    let _ = helping.await;
    outcome
}

/// Checks the file, its keys and its secrets; opens nothing.
pub(crate) fn check(path: &Path) -> Outcome {
    let loaded: Loaded<SocialFile> = load(path)?;
    loaded.value.signing.key(loaded.folder())?;
    loaded.value.exchange.agent(loaded.folder())?;
    if let Some(url) = &loaded.value.source.url {
        url.read(loaded.folder())?;
    }
    output::line(&format!(
        "{}: ready, {} feeds",
        path.display(),
        loaded.value.feeds.len()
    ));
    Ok(Exit::Done)
}

struct Page(SocialView);

impl Report for Page {
    fn status(&self) -> serde_json::Value {
        serde_json::to_value(self.0.status()).unwrap_or_default()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counts below 2^53 are exact"
    )]
    fn metrics(&self) -> String {
        let status = self.0.status();
        let mut text = MetricsText::new();
        let open = if status.gate.state == GateState::Shut {
            0.0
        } else {
            1.0
        };
        text.gauge("slacktide_gate_open", "1 while the core may be read.", &[], open);
        text.counter(
            "slacktide_gate_shuts_total",
            "Times that the gate shut.",
            &[],
            status.gate.shuts as f64,
        );
        text.counter(
            "slacktide_gate_shut_seconds_total",
            "Time that the gate was shut.",
            &[],
            status.gate.shut_ms as f64 / 1e3,
        );
        text.gauge(
            "slacktide_lease_held",
            "1 while this process may read.",
            &[],
            f64::from(u8::from(status.lease.held)),
        );
        text.counter(
            "slacktide_driver_rows_total",
            "Rows that the database driver handed out.",
            &[],
            status.driver.rows as f64,
        );
        text.counter(
            "slacktide_driver_rows_while_shut_total",
            "Rows handed out while the gate was shut; must stay 0.",
            &[],
            status.driver.rows_while_shut as f64,
        );
        for (lane, one) in &status.lanes {
            text.counter(
                "slacktide_lane_rows_total",
                "Rows published.",
                &[("lane", lane)],
                one.rows as f64,
            );
        }
        for (lane, one) in &status.lanes {
            text.counter(
                "slacktide_lane_chunks_total",
                "Chunks published.",
                &[("lane", lane)],
                one.chunks as f64,
            );
        }
        for (lane, one) in &status.lanes {
            let stopped = f64::from(u8::from(one.stopped));
            text.gauge(
                "slacktide_lane_stopped",
                "1 while an operator has to act.",
                &[("lane", lane)],
                stopped,
            );
        }
        for (feed, one) in &status.feeds {
            let held = f64::from(u8::from(one.fence_held_by.is_some()));
            text.gauge(
                "slacktide_fence_held",
                "1 while somebody's transaction holds the fence.",
                &[("feed", feed)],
                held,
            );
        }
        text.finish()
    }

    fn healthy(&self) -> Result<(), String> {
        match self.0.status().lanes.iter().find(|(_, lane)| lane.stopped) {
            Some((name, lane)) => Err(format!("lane {name}: {}", lane.state)),
            None => Ok(()),
        }
    }
}
