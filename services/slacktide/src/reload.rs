//! A changed `[gate]` is put in force without a restart; a wrong one is refused, and the old stays.
//!
//! The file is looked at each second by what the system says of it, and read on SIGHUP in any case.

use std::path::Path;
use std::time::{Duration, SystemTime};

use gate::{Gate, OwnPids};
use runtime::config::Loaded;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::compose;
use crate::never_idle::AlarmAfter;
use crate::settings::{SocialFile, load};

const EACH: Duration = Duration::from_secs(1);

/// Watches until the token is cancelled.
pub(crate) fn watch(
    loaded: Loaded<SocialFile>,
    gate: Gate,
    own: OwnPids,
    alarm_after: AlarmAfter,
    stop: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => return tracing::warn!(%error, "a changed policy needs a restart"),
        };
        let mut seen = look(&loaded.path);
        let mut in_force = loaded;
        let mut tick = tokio::time::interval(EACH);
        loop {
            let asked = tokio::select! {
                _ = tick.tick() => false,
                _ = hangup.recv() => true,
                () = stop.cancelled() => return,
            };
            let now = look(&in_force.path);
            if now == seen && !asked {
                continue;
            }
            seen = now;
            match load::<SocialFile>(&in_force.path) {
                Err(failure) => {
                    tracing::warn!(why = %failure, "changed settings refused; the policy before stays in force");
                    gate.refused(failure.to_string());
                }
                Ok(new) => {
                    if let Some(new) = take(&in_force, new, &gate, &own, &alarm_after) {
                        in_force = new;
                    }
                }
            }
        }
    })
}

/// Time, length and place of the file; none when it is not there.
fn look(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

/// Puts the gate of a valid file in force; what is in force now, if anything changed.
fn take(
    old: &Loaded<SocialFile>,
    new: Loaded<SocialFile>,
    gate: &Gate,
    own: &OwnPids,
    alarm_after: &AlarmAfter,
) -> Option<Loaded<SocialFile>> {
    let tables = others_changed(&old.value, &new.value);
    if !tables.is_empty() {
        tracing::warn!(
            tables = tables.join(", "),
            "changed settings outside [gate] need a restart"
        );
    }
    // Also after a refusal with nothing changed since: then the refusal is over.
    match gate.reload(&compose::gate(&new), own, compose::more_signals(&new)) {
        Ok(()) => {
            let mut held = alarm_after
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *held = new.value.gate.never_idle.alarm_after.get();
            tracing::info!(changed = old.value.gate != new.value.gate, "policy loaded");
            // What needs a restart is compared with what the process runs on.
            let mut kept = old.clone();
            kept.value.gate = new.value.gate;
            Some(kept)
        }
        Err(error) => {
            tracing::warn!(why = %error, "changed policy refused; the one before stays in force");
            None
        }
    }
}

/// The tables other than `[gate]` that differ.
fn others_changed(old: &SocialFile, new: &SocialFile) -> Vec<String> {
    let tables = |file: &SocialFile| match serde_json::to_value(file) {
        Ok(Value::Object(tables)) => tables,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (tables(old), tables(new));
    let mut names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| name != "gate" && old.get(name) != new.get(name));
    names
}
