//! The status of agents, and the note that an operator watches them.

use bytes::Bytes;
use schemas::name::PartyName;

use super::{Failure, Outcome, Parties, ensure, ensure_equal, require};
use exchange::port::Sequence;

const A: Bytes = Bytes::from_static(b"a");
const B: Bytes = Bytes::from_static(b"b");
const C: Bytes = Bytes::from_static(b"c");

fn party(parties: &Parties) -> Result<PartyName, Failure> {
    Ok(PartyName::new(parties.name.as_str())?)
}

/// The last status of each agent is read, by the party itself and by the auditor.
pub(super) async fn last_of_each(parties: &Parties) -> Outcome {
    let name = party(parties)?;
    let (one, other) = (PartyName::new("status-one")?, PartyName::new("status-other")?);
    let recipient = &parties.recipient;
    let first: Sequence = recipient.publish_status(&name, &one, A).await?;
    recipient.publish_status(&name, &other, C).await?;
    let second = recipient.publish_status(&name, &one, B).await?;
    ensure(second > first, format_args!("{second} is not above {first}"))?;
    // A note is no status.
    recipient.publish_watch(&name, A).await?;
    for reader in [&parties.recipient, &parties.auditor] {
        let all = reader.statuses(&name).await?;
        let read: Vec<(String, Bytes)> = all
            .iter()
            .map(|stored| (stored.subject.clone(), stored.bytes.clone()))
            .collect();
        let expected = vec![
            (format!("status.{name}.{one}"), B),
            (format!("status.{name}.{other}"), C),
        ];
        ensure_equal("the last of each agent, by subject", &read, &expected)?;
        ensure_equal("the sequence of the newest", &all[0].sequence, &second)?;
    }
    Ok(())
}

/// A party without a report has none, and one party's reports are not another's.
pub(super) async fn of_one_party(parties: &Parties) -> Outcome {
    let writer = PartyName::new("status-own")?;
    let bureau = &parties.bureau_name;
    parties.bureau.publish_status(bureau, &writer, A).await?;
    for reader in [&parties.bureau, &parties.auditor] {
        let all = reader.statuses(bureau).await?;
        ensure_equal("reports of the bureau", &all.len(), &1)?;
        ensure_equal(
            "its subject",
            &all[0].subject,
            &format!("status.{bureau}.{writer}"),
        )?;
    }
    Ok(())
}

/// Only the last note counts.
pub(super) async fn watch(parties: &Parties) -> Outcome {
    let (name, recipient) = (party(parties)?, &parties.recipient);
    recipient.publish_watch(&name, B).await?;
    let last = recipient.publish_watch(&name, C).await?;
    let note = require("the note", recipient.last_watch(&name).await?)?;
    ensure_equal("its bytes", &note.bytes, &C)?;
    ensure_equal("its sequence", &note.sequence, &last)?;
    ensure_equal("its subject", &note.subject, &format!("watch.{name}"))?;
    ensure_equal(
        "the bureau's note",
        &parties.bureau.last_watch(&parties.bureau_name).await?,
        &None,
    )
}
