//! Starts a verification of what the session's party may read.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Form, Router};
use exchange::port::Stream;
use schemas::sign::PublicKey;
use serde::Deserialize;

use crate::access::Access;
use crate::console::Console;
use crate::facts::Trust;
use crate::layout;
use crate::page_id::PageId;
use crate::site::PartyRole;
use crate::site::machine::VerifyRequest;
use crate::viewer::Viewer;

/// The name of the form.
pub(super) const FORM: &str = "audit.verify";

/// Returns the route of the form.
pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/audit/verify", post(verify))
}

#[derive(Debug, Deserialize)]
struct VerifyForm {
    csrf: String,
}

async fn verify(State(console): State<Console>, viewer: Viewer, Form(form): Form<VerifyForm>) -> Response {
    if let Err(refused) = viewer.check(FORM, &form.csrf) {
        return refused;
    }
    let (access, display) = (&viewer.access, &viewer.context.display);
    let refused = |key: &str| {
        let detail = display.texts.get(key);
        layout::message(StatusCode::CONFLICT, display, "audit.not_started", detail)
    };
    let site = console.site();
    let Some(machine) = site.machine.clone() else {
        return refused("audit.no_verifier");
    };
    let [chunks, receipts, entries] = keys(&access.trust);
    if chunks.is_empty() {
        return refused("audit.no_keys");
    }
    let request = VerifyRequest {
        party: access.party.clone(),
        role: access.role,
        exchange: access.exchange.clone(),
        chunks,
        receipts,
        entries,
        read: Arc::new(AtomicU64::new(0)),
    };
    let total = total(access).await;
    let verifications = &console.records().verifications;
    if verifications.start(machine, request, total, site.clock, site.stop.clone()) {
        Redirect::to(&PageId::Audit.path()).into_response()
    } else {
        refused("audit.busy")
    }
}

/// PURE: the keys of publishers, receivers and writers of entries.
fn keys(trust: &Trust) -> [Vec<PublicKey>; 3] {
    let others = trust.by_party.iter().filter(|(party, _)| **party != trust.bureau);
    [
        trust.bureau_keys().to_vec(),
        others.flat_map(|(_, keys)| keys.iter().cloned()).collect(),
        trust.by_party.values().flatten().cloned().collect(),
    ]
}

/// The number of messages to read, if the party may ask for it.
async fn total(access: &Access) -> Option<u64> {
    let exchange = access.exchange.as_ref();
    let mut total = 0;
    let streams: &[Stream] = match access.role {
        PartyRole::Auditor => &[Stream::Data, Stream::Receipts, Stream::Audit],
        PartyRole::Bureau => &[Stream::Data],
        PartyRole::Recipient => return None,
    };
    for stream in streams {
        for party in exchange.parties(*stream).await.ok()? {
            total += exchange.stream_state(*stream, &party).await.ok()?.messages;
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use schemas::name::PartyName;
    use schemas::sign::SigningKey;

    use super::*;

    #[test]
    fn verify_keys_of_a_receiver_sign_no_chunk() {
        let name = |text: &str| text.parse::<PartyName>().unwrap();
        let [bureau, insurer] = [SigningKey::generate(), SigningKey::generate()];
        let trust = Trust {
            bureau: name("bureau"),
            by_party: [
                (name("bureau"), vec![bureau.public().clone()]),
                (name("insurer-a"), vec![insurer.public().clone()]),
            ]
            .into(),
        };
        let [chunks, receipts, entries] = keys(&trust);
        assert_eq!(chunks, [bureau.public().clone()]);
        assert_eq!(receipts, [insurer.public().clone()]);
        assert_eq!(entries.len(), 2);
    }
}
