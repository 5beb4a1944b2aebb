//! The conformance suite of the exchange port, through the HTTP client and the gateway.

use std::sync::Arc;

use exchange::Exchange;
use exchange_testing::conformance::{Parties, run};
use gateway::Limits;
use schemas::name::{PartyName, RecipientName};
use web::client::WebExchange;
use web::client::options::{Options, Tls};

use crate::site::{Site, token_of};
use crate::tls::TlsSite;

async fn connect(site: &Site, party: &str, tls: Option<Tls>, has_token: bool) -> Arc<dyn Exchange> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let options = Options::command(format!("{scheme}://{}", site.addr), party).over(tls);
    let options = if has_token {
        options.with_token(token_of(party))
    } else {
        options
    };
    Arc::new(WebExchange::connect(options).await.unwrap())
}

async fn pass(parties: Parties) {
    let passed = run(async || parties.clone()).await;
    let passed = passed.unwrap_or_else(|failures| panic!("{failures}"));
    assert!(passed >= 30, "{passed}");
    for exchange in [&parties.bureau, &parties.recipient, &parties.auditor] {
        exchange.close().await;
    }
}

fn many_requests(limits: &mut Limits) {
    (limits.requests_per_second, limits.burst) = (1_000_000, 1_000_000);
}

#[tokio::test]
async fn gateway_passes_the_conformance_suite() {
    let site = Site::with_limits(many_requests).await;
    pass(Parties {
        bureau: connect(&site, "bureau", None, true).await,
        recipient: connect(&site, "insurer-a", None, true).await,
        auditor: connect(&site, "auditor", None, true).await,
        name: RecipientName::new("insurer-a").unwrap(),
        bureau_name: PartyName::new("bureau").unwrap(),
    })
    .await;
    site.end().await;
}

#[tokio::test]
async fn gateway_over_tls_passes_the_conformance_suite() {
    let mut limits = Limits::default();
    many_requests(&mut limits);
    let tls = TlsSite::with(limits).await;
    let (by_token, by_certificate) = (tls.trust(), tls.identity());
    let site = &tls.site;
    pass(Parties {
        bureau: connect(site, "bureau", Some(by_token.clone()), true).await,
        recipient: connect(site, "insurer-a", Some(by_certificate), false).await,
        auditor: connect(site, "auditor", Some(by_token), true).await,
        name: RecipientName::new("insurer-a").unwrap(),
        bureau_name: PartyName::new("bureau").unwrap(),
    })
    .await;
    tls.site.end().await;
}
