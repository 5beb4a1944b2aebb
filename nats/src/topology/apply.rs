//! Making the exchange as the files say.

use exchange::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use super::admin::Admin;
use super::diff::{Change, Kind, Object, Plan, diff};
use super::spec::Topology;

/// Compares the files with the exchange.
///
/// # Errors
/// As the exchange's verbs.
pub async fn plan(admin: &Admin, topology: &Topology) -> Result<Plan> {
    Ok(diff(topology, &admin.live().await?))
}

/// Does what the plan says, streams before consumers.
///
/// # Errors
/// `Topology` when a change is destructive and `force` is not set: then nothing at all was done.
/// Otherwise as the exchange's verbs; what was done before the error stays, and the next plan
/// goes on from there.
pub async fn apply(admin: &Admin, plan: &Plan, force: bool) -> Result<()> {
    let refused: Vec<String> = plan.destructive().map(told).collect();
    if !force && !refused.is_empty() {
        let text = format!(
            "nothing was changed: {}; give --force to do it all the same",
            refused.join("; ")
        );
        return Err(Error::new(ErrorKind::Topology, text));
    }
    for change in &plan.changes {
        one(admin, change).await?;
    }
    Ok(())
}

fn told(change: &Change) -> String {
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
    admin.api(&subject, &body).await?;
    tracing::info!(object = %change.object, kind = ?change.kind, "exchange changed");
    Ok(())
}
