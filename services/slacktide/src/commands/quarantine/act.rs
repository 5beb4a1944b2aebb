//! The audit entry before each action.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use runtime::exit::Exit;
use schemas::digest::Digest;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use social::audit_log::{AuditEvent, AuditLogError, append};
use store::quarantine::Decision;

use crate::cli::quarantine::Order;
use crate::commands::operator::{Operator, actor};
use crate::failure::Failure;

/// The maximum number of ids in an audit entry; beyond it the entry contains their digest.
const MAX_LISTED: usize = 50;

/// Returns actor and reason of an action.
pub(super) fn decision(order: &Order, reason: Option<&str>) -> Result<Decision, Failure> {
    let actor = actor(order.actor.clone(), "decides")?;
    let reason = order.reason.as_deref().or(reason).unwrap_or_default();
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept permanently and must not be empty",
        ));
    }
    Ok(Decision {
        actor,
        reason: reason.to_owned(),
    })
}

/// Appends an action to the party's audit chain. `ids` are the entries concerned.
pub(super) async fn sign(
    exchange: &dyn Exchange,
    (party, key): (&str, &SigningKey),
    by: &Decision,
    action: &str,
    ids: &[&str],
) -> Result<(), Failure> {
    let party = PartyName::new(party).map_err(|error| Failure::usage(error.to_string()))?;
    let operator = Operator::new()?;
    let signer = operator.signer(key, &[], &party);
    let act = AuditEvent {
        actor: by.actor.clone(),
        action: action.to_owned(),
        reason: by.reason.clone(),
        detail: detail(ids),
    };
    append(exchange, &signer, &act).await.map(|_| ()).map_err(failed)
}

fn detail(ids: &[&str]) -> BTreeMap<String, String> {
    let joined = ids.join(",");
    let which = if ids.len() <= MAX_LISTED {
        ("ids".to_owned(), joined)
    } else {
        (
            "ids_digest".to_owned(),
            Digest::of(&[joined.as_bytes()]).to_string(),
        )
    };
    BTreeMap::from([("entries".to_owned(), ids.len().to_string()), which])
}

fn failed(error: AuditLogError) -> Failure {
    match error {
        AuditLogError::Exchange(error) => {
            let failure = Failure::from(error);
            let what = format!("nothing was done: cannot append to the audit chain: {failure}");
            Failure::new(failure.exit, what)
        }
        other => Failure::new(Exit::Unfinished, format!("nothing was done: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_detail_many_ids_are_a_digest() {
        let few = detail(&["a", "b"]);
        assert_eq!(few.get("ids").map(String::as_str), Some("a,b"));
        let many = detail(&vec!["a"; MAX_LISTED + 1]);
        assert_eq!(many.get("entries").map(String::as_str), Some("51"));
        assert!(!many.contains_key("ids"));
        assert_eq!(many.get("ids_digest").map(String::len), Some(64));
    }
}
