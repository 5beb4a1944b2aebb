//! The audit entry before each act: nothing is done that nobody answers for.

use std::collections::BTreeMap;

use ::exchange::Exchange;
use runtime::exit::Exit;
use schemas::digest::Digest;
use schemas::name::PartyName;
use schemas::sign::SigningKey;
use social::act::{Act, ActError, append};
use store::quarantine::By;

use super::Order;
use crate::commands::operator::{Operator, actor};
use crate::failure::Failure;

/// Ids that an entry of the audit chain lists by themselves; of more, it lists their digest.
const MOST_LISTED: usize = 50;

/// Who and why, as the operator said or as the system knows.
pub(super) fn by(order: &Order, reason: Option<&str>) -> Result<By, Failure> {
    let actor = actor(order.actor.clone(), "decides")?;
    let reason = order.reason.as_deref().or(reason).unwrap_or_default();
    if actor.trim().is_empty() || reason.trim().is_empty() {
        return Err(Failure::usage(
            "--actor and --reason are kept for ever and must say something",
        ));
    }
    Ok(By {
        actor,
        reason: reason.to_owned(),
    })
}

/// Signs an act into the party's chain. `ids` are those of the entries concerned.
pub(super) async fn sign(
    exchange: &dyn Exchange,
    (party, key): (&str, &SigningKey),
    by: &By,
    action: &str,
    ids: &[&str],
) -> Result<(), Failure> {
    let party = PartyName::new(party).map_err(|error| Failure::usage(error.to_string()))?;
    let operator = Operator::new()?;
    let who = operator.signs(key, &[], &party);
    let act = Act {
        actor: by.actor.clone(),
        action: action.to_owned(),
        reason: by.reason.clone(),
        detail: detail(ids),
    };
    append(exchange, &who, &act).await.map(|_| ()).map_err(failed)
}

fn detail(ids: &[&str]) -> BTreeMap<String, String> {
    let joined = ids.join(",");
    let which = if ids.len() <= MOST_LISTED {
        ("ids".to_owned(), joined)
    } else {
        (
            "ids_digest".to_owned(),
            Digest::of(&[joined.as_bytes()]).to_string(),
        )
    };
    BTreeMap::from([("entries".to_owned(), ids.len().to_string()), which])
}

fn failed(error: ActError) -> Failure {
    match error {
        ActError::Exchange(error) => {
            let failure = Failure::from(error);
            let what =
                format!("nothing was done, for it could not be signed into the audit chain: {failure}");
            Failure::new(failure.exit, what)
        }
        other => Failure::new(Exit::Unfinished, format!("nothing was done: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ids_are_listed_by_their_digest() {
        let few = detail(&["a", "b"]);
        assert_eq!(few.get("ids").map(String::as_str), Some("a,b"));
        let many = detail(&vec!["a"; MOST_LISTED + 1]);
        assert_eq!(many.get("entries").map(String::as_str), Some("51"));
        assert!(!many.contains_key("ids"));
        assert_eq!(many.get("ids_digest").map(String::len), Some(64));
    }
}
