//! Applies the topology files to the exchange.

use exchange::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::admin::Admin;
use super::diff::{Change, Kind, Object, Plan, diff};
use super::replicas::{changed_copies, resolve, wait_until_current};
use super::spec::Topology;

/// Compares the files with the exchange.
///
/// # Errors
/// `Topology` where the files, or a stand-alone server that became one of a cluster, would lose the streams. Those of the
/// exchange's operations.
pub async fn plan(admin: &Admin, topology: &Topology) -> Result<Plan> {
    let topology = resolve(admin, topology).await?;
    Ok(diff(&topology, &admin.live().await?))
}

/// Applies a plan, streams before consumers.
///
/// # Errors
/// `Topology` when a change is destructive and `force` is not set: then nothing at all was done.
/// Otherwise those of the exchange's operations; changes made before the error stay, and the next
/// plan continues from there.
pub async fn apply(admin: &Admin, plan: &Plan, force: bool) -> Result<()> {
    let refused: Vec<String> = plan.destructive().map(describe).collect();
    if !force && !refused.is_empty() {
        let text = format!(
            "nothing was changed: {}; give --force to do it all the same",
            refused.join("; ")
        );
        return Err(Error::new(ErrorKind::Topology, text));
    }
    for change in &plan.changes {
        one(admin, change).await?;
        // One stream at a time: each new copy is made whole before the next is begun.
        if let (Object::Stream { stream }, Some(copies)) = (&change.object, changed_copies(change))
            && change.kind != Kind::Create
        {
            wait_until_current(admin, stream, copies).await?;
        }
    }
    Ok(())
}

fn describe(change: &Change) -> String {
    let dangers: Vec<&str> = change
        .fields
        .iter()
        .filter_map(|field| field.danger.as_deref())
        .collect();
    format!("{}: {}", change.object, dangers.join(", "))
}

async fn one(admin: &Admin, change: &Change) -> Result<()> {
    let config = Value::Object(change.config.clone());
    let (subject, body) = match (&change.object, change.kind) {
        (Object::Stream { stream }, Kind::Create) => (format!("STREAM.CREATE.{stream}"), config),
        (Object::Stream { stream }, _) => (format!("STREAM.UPDATE.{stream}"), config),
        (Object::Consumer { stream, consumer }, kind) => {
            let action = if kind == Kind::Create { "create" } else { "update" };
            let filter = change
                .config
                .get("filter_subject")
                .and_then(Value::as_str)
                .unwrap_or(">");
            let body = json!({"stream_name": stream, "config": config, "action": action});
            (format!("CONSUMER.CREATE.{stream}.{consumer}.{filter}"), body)
        }
    };
    admin
        .api(&subject, &body)
        .await
        .map_err(|error| room(error, change))?;
    tracing::info!(object = %change.object, kind = ?change.kind, "exchange changed");
    Ok(())
}

/// The server reserves `max_bytes` for a stream, independent of its content. The error of a server without so much names what was asked
/// for, and both ways to go on.
fn room(error: Error, change: &Change) -> Error {
    if error.kind != ErrorKind::NoRoom {
        return error;
    }
    let asked = change
        .config
        .get("max_bytes")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let text = format!(
        "{}: {}: the exchange's store has less room than the max_bytes of all its streams together, and this one asks for \
         {asked} bytes; give max_bytes a smaller number in the file of the stream and apply again, or else",
        change.object, error.what
    );
    Error::new(ErrorKind::NoRoom, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apply_without_room_advises_a_smaller_limit_or_a_larger_store() {
        let Value::Object(config) = json!({"max_bytes": 10_737_418_240_i64}) else {
            return;
        };
        let change = Change {
            object: Object::Stream {
                stream: "DATA-insurer-a".to_owned(),
            },
            kind: Kind::Create,
            fields: Vec::new(),
            config,
        };
        let refused = Error::new(
            ErrorKind::NoRoom,
            "insufficient storage resources available (10047)",
        );
        let text = room(refused, &change).to_string();
        for wanted in [
            "DATA-insurer-a",
            "10737418240 bytes",
            "a smaller number",
            "raise max_file_store",
        ] {
            assert!(text.contains(wanted), "{text}");
        }
        assert!(!text.contains("raise max_bytes"), "{text}");
        let other = room(Error::new(ErrorKind::Full, "full"), &change);
        assert_eq!(other.kind, ErrorKind::Full);
    }
}
