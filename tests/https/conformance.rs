//! The suite of the port, each party with its own token.

use std::sync::Arc;

use exchange_testing::conformance::{Parties, run};
use schemas::name::PartyName;

use super::scene::{Scene, insurer};
use super::web_proxy::WebProxy;

async fn assert_conforms(scene: &Scene, url: &str) {
    let parties = Parties {
        bureau: Arc::new(scene.connect(url, "bureau").await),
        recipient: Arc::new(scene.connect(url, "insurer-a").await),
        auditor: Arc::new(scene.connect(url, "auditor").await),
        name: insurer(),
        bureau_name: PartyName::new("bureau").unwrap(),
    };
    let passed = run(async || parties.clone())
        .await
        .unwrap_or_else(|failures| panic!("{failures}"));
    assert!(passed >= 20, "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_keeps_the_port() {
    let scene = Scene::start().await;
    let gateway = scene.gateway().await;
    assert_conforms(&scene, &gateway.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_through_a_buffering_proxy_keeps_the_port() {
    let scene = Scene::start().await;
    let gateway = scene.plain_gateway().await;
    let proxy = WebProxy::start(gateway.port()).await;
    assert_conforms(&scene, &proxy.url()).await;
}
