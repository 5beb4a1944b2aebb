//! The suite of the port, each party with its own credential.

use std::sync::Arc;

use exchange_testing::conformance::{Parties, run};
use schemas::name::{PartyName, RecipientName};

use crate::exchange_server::ExchangeServer;

#[tokio::test]
async fn jetstream_keeps_the_port() {
    let exchange = ExchangeServer::start().await;
    let parties = Parties {
        bureau: Arc::new(exchange.connect("bureau").await),
        recipient: Arc::new(exchange.connect("insurer-a").await),
        auditor: Arc::new(exchange.connect("auditor").await),
        name: RecipientName::new("insurer-a").unwrap(),
        bureau_name: PartyName::new("bureau").unwrap(),
    };
    let passed = run(async || parties.clone())
        .await
        .unwrap_or_else(|failures| panic!("{failures}"));
    assert!(passed >= 20, "{passed}");
}
