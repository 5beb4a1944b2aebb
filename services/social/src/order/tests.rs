use exchange::ControlExchange;
use exchange::{Error, ErrorKind};
use exchange_testing::memory::Memory;
use schemas::control::Hold;
use schemas::sign::SigningKey;

use super::*;

/// The maximum message size of the stream of orders, less its headers.
const LIMIT: usize = 64 * 1024 - 1024;

fn draft(action: Action) -> OrderDraft {
    OrderDraft {
        scope: "gate.core".to_owned(),
        action,
        // The longest texts, of characters that take the most bytes.
        actor: "\u{20000}".repeat(MAX_ACTOR_CHARS),
        reason: "\u{20000}".repeat(MAX_REASON_CHARS),
        lasts: None,
    }
}

#[tokio::test]
async fn orders_of_any_length_leave_room_for_a_pause() {
    let exchange = Memory::new(&[]);
    let key = SigningKey::generate();
    let trusted = [key.public().clone()];
    let (party, writer) = ("bureau".parse().unwrap(), "operator".parse().unwrap());
    let signer = AuditSigner {
        party: &party,
        writer: &writer,
        key: &key,
        trusted: &trusted,
        instance: "test",
    };
    let now = Timestamp::UNIX_EPOCH;
    let hold = draft(Action::Hold(Hold {
        recipients: Vec::new(),
        feeds: Vec::new(),
        person: None,
    }));
    let mut holds = 0;
    let refused = loop {
        match issue_order(&exchange, &signer, &trusted, &hold, now).await {
            Ok(_) => holds += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, OrderError::TooLong(_)) && holds > 3,
        "{holds}: {refused}"
    );
    for action in [Action::Pause, Action::Resume, Action::Pause] {
        issue_order(&exchange, &signer, &trusted, &draft(action), now)
            .await
            .unwrap();
        let stored = exchange.last_control(&party).await.unwrap().unwrap();
        assert!(stored.bytes.len() <= LIMIT, "{} bytes", stored.bytes.len());
    }
}

#[test]
fn order_over_unknown_orders_holds_everything() {
    let (key, now) = (SigningKey::generate(), Timestamp::UNIX_EPOCH);
    let (party, writer) = ("bureau".parse().unwrap(), "operator".parse().unwrap());
    let signer = AuditSigner {
        key: &key,
        trusted: &[],
        instance: "i",
        party: &party,
        writer: &writer,
    };
    let draft = OrderDraft {
        scope: "gate.core".into(),
        action: Action::Pause,
        actor: "li.na".into(),
        reason: "year end".into(),
        lasts: None,
    };
    let newest = order(&draft, now).unwrap();
    let known = Head {
        expected: 7,
        ..Head::default()
    };
    let kinds = |head: &Head| {
        let record = next_record(head, &newest, &signer, now).unwrap();
        let kinds: Vec<&str> = record.orders.iter().map(|order| order.action.kind()).collect();
        (record.number, kinds.join(" "))
    };
    assert_eq!(kinds(&known), (8, "pause".to_owned()));
    let unknown = Head {
        unknown: Some(Error::new(ErrorKind::Denied, "denied")),
        ..known
    };
    assert_eq!(kinds(&unknown), (8, "hold pause".to_owned()));
}
