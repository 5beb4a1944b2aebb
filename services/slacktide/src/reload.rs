//! Reloads a changed `[gate]` without a restart. An invalid one is refused, and the old one stays in force.
//!
//! The metadata of the file is checked each second; SIGHUP always reads the file.

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

const INTERVAL: Duration = Duration::from_secs(1);

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
            Err(error) => {
                return tracing::warn!(%error, "cannot handle SIGHUP, a changed policy needs a restart");
            }
        };
        let mut last_state = file_state(&loaded.path);
        let mut in_force = loaded;
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            let is_requested = tokio::select! {
                _ = tick.tick() => false,
                _ = hangup.recv() => true,
                () = stop.cancelled() => return,
            };
            let state = file_state(&in_force.path);
            if state == last_state && !is_requested {
                continue;
            }
            last_state = state;
            match load::<SocialFile>(&in_force.path) {
                Err(failure) => {
                    tracing::warn!(why = %failure, "changed settings refused, previous policy stays in force");
                    gate.reject_policy(failure.to_string());
                }
                Ok(new) => {
                    if let Some(new) = apply(&in_force, new, &gate, &own, &alarm_after) {
                        in_force = new;
                    }
                }
            }
        }
    })
}

/// Returns time, length and inode of the file, or `None` if it does not exist.
fn file_state(path: &Path) -> Option<(SystemTime, u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

/// Applies the gate of a valid file. Returns the settings in force, or `None` if they were refused.
fn apply(
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
    // Also without a change after a refusal: this ends the refusal.
    match gate.reload(&compose::gate(&new), own, compose::external_signals(&new)) {
        Ok(()) => {
            let mut alarm_after = alarm_after
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *alarm_after = new.value.gate.never_idle.alarm_after.get();
            tracing::info!(changed = old.value.gate != new.value.gate, "policy loaded");
            // Keep the other tables of the running process, so that they are compared again.
            let mut current = old.clone();
            current.value.gate = new.value.gate;
            Some(current)
        }
        Err(error) => {
            tracing::warn!(why = %error, "changed policy refused, previous policy stays in force");
            None
        }
    }
}

/// Returns the tables other than `[gate]` that differ.
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
