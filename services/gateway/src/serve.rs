//! Start and stop of the gateway.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, http::header};
use bytes::Bytes;
use runtime::health::Report;
use schemas::name::PartyName;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use web::interface::media;

use crate::config::GatewayConfig;
use crate::finish::{IsText, finish, no_method, no_route};
use crate::gateway::Gateway;
use crate::identity::{Identities, IdentityError, PartyIdentity};
use crate::listen::Acceptor;
use crate::mounted::{Mounted, Routers};
use crate::party::PartyAccess;
use crate::report::{GatewayReport, measure_connections};
use crate::tls::TlsSource;
use crate::token::TokenRegistry;
use crate::{docs_page, openapi, routes};

pub use crate::tls::TlsError;

/// What a gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// The settings.
    pub config: GatewayConfig,
    /// The parties, each with its own connection to the exchange.
    pub parties: Vec<PartyAccess>,
    /// How their certificates are recognised.
    pub identities: Vec<PartyIdentity>,
    /// Their tokens.
    pub tokens: Arc<TokenRegistry>,
    /// Pages next to the interface.
    pub mounted: Option<Mounted>,
}

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Tokens and data would cross the network in clear text.
    #[error(
        "{0} is not a loopback address; configure TLS, or listen on 127.0.0.1 behind a proxy on this host"
    )]
    ClearText(SocketAddr),
    /// The address is taken or not of this host.
    #[error("cannot listen on {0}: {1}; is another gateway running, or is the address another host's?")]
    Bind(SocketAddr, io::Error),
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is nothing to serve.
    #[error("the gateway has no party; configure at least one with its connection to the exchange")]
    NoParty,
    /// A party is given twice.
    #[error("party {0} is configured twice; remove one entry")]
    PartyTwice(PartyName),
}

/// The running gateway.
pub struct Serving {
    /// The address that it listens on.
    pub addr: SocketAddr,
    /// Its state, for the health server.
    pub report: Arc<dyn Report>,
    /// Ends after the token is cancelled and the requests in flight have finished or timed out.
    pub task: JoinHandle<()>,
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

/// Starts the gateway, until the token is cancelled. The caller closes the parties' connections to the exchange afterwards.
///
/// # Errors
/// [`StartError`] names what to correct.
pub async fn serve(parts: Parts, stop: CancellationToken) -> Result<Serving, StartError> {
    let Parts {
        config,
        parties,
        identities,
        tokens,
        mounted,
    } = parts;
    if config.tls.is_none() && !config.listen.ip().is_loopback() {
        return Err(StartError::ClearText(config.listen));
    }
    let identities = checked(&parties, identities)?;
    let tls = match config.tls {
        None => None,
        Some(files) => Some(Arc::new(TlsSource::read(files)?)),
    };
    let bind = |error| StartError::Bind(config.listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let gateway = Gateway::new(parties, identities, tokens, config.limits, stop.clone());
    let acceptor = Acceptor {
        routers: Routers::new(router(&gateway), mounted, &gateway),
        gateway: gateway.clone(),
        errors: Arc::default(),
        tls,
    };
    tracing::info!(%addr, tls = acceptor.tls.is_some(), "gateway listens");
    let measuring = measure_connections(gateway.clone(), stop.clone());
    let task = tokio::spawn(async move {
        tokio::join!(acceptor.run(listener, stop), measuring);
    });
    Ok(Serving {
        addr,
        report: Arc::new(GatewayReport(gateway)),
        task,
    })
}

/// PURE: checks the parties and their identities.
fn checked(parties: &[PartyAccess], identities: Vec<PartyIdentity>) -> Result<Identities, StartError> {
    if parties.is_empty() {
        return Err(StartError::NoParty);
    }
    let mut names = BTreeSet::new();
    for party in parties {
        if !names.insert(&party.name) {
            return Err(StartError::PartyTwice(party.name.clone()));
        }
    }
    let identities = Identities::new(identities)?;
    let unknown = identities.parties().find(|party| !names.contains(party));
    match unknown.cloned() {
        Some(unknown) => Err(IdentityError::UnknownParty(unknown).into()),
        None => Ok(identities),
    }
}

/// Returns the routes with everything that surrounds them.
fn router(gateway: &Gateway) -> Router {
    let (routes, api) = routes::router().split_for_parts();
    let document = openapi::document(&api);
    let (page, policy) = docs_page::render(&document);
    let (json, page) = (Bytes::from(document.to_string()), Bytes::from(page));
    let json_answer = get(async move || ([(header::CONTENT_TYPE, media::JSON)], json).into_response());
    let page_answer = get(async move || {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
        ];
        (headers, page).into_response()
    });
    routes
        .route("/openapi.json", json_answer)
        .route("/docs", page_answer)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CompressionLayer::new().compress_when(IsText))
        .layer(middleware::from_fn_with_state(gateway.clone(), finish))
        .with_state(gateway.clone())
}
