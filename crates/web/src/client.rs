//! The exchange traits over the HTTP interface.
//!
//! - [`options`] options of a connection; `address` its URLs, `credential` the token in use
//! - connections: `tls` the files behind one, `link` one connection, `pool` those that are open, `state` what agents show
//! - requests: `call` one request, `answer` its answer, `failure` what failed without one, `outcome` the result by the
//!   kinds of errors
//! - operations of the port: `publish`, `read`, put together in `port`
//!
//! The connections are managed here and not by an HTTP client library, for two reasons. A write is never sent twice: hyper returns
//! a request that was not sent, and only such a request is sent over another connection. And certificates are read again for
//! every connection.

pub mod options;

mod address;
mod answer;
mod call;
mod credential;
mod failure;
mod link;
mod outcome;
mod pool;
mod port;
mod publish;
mod read;
mod state;
mod tls;

use std::sync::Arc;

use exchange::{Connection, Error, ErrorKind, Result};
use hyper::StatusCode;
use tokio::sync::watch;
use tokio::time::timeout;

use self::answer::Answer;
use self::call::Call;
use self::credential::Credential;
use self::failure::Failed;
use self::options::Options;
use self::outcome::Reach;
use self::pool::Pool;
use self::state::State;

/// How often a request that a connection returned unsent is given to another one.
const UNSENT_ATTEMPTS: usize = 3;

/// An exchange over HTTP. Clones share the connections.
#[derive(Clone, Debug)]
pub struct WebExchange {
    pub(crate) inner: Arc<Inner>,
}

/// What the clones share.
#[derive(Debug)]
pub(crate) struct Inner {
    options: Options,
    credential: Arc<Credential>,
    pool: Arc<Pool>,
    state: State,
}

impl WebExchange {
    /// Connects. With `options.wait` it returns at once when the gateway is not there yet, and every operation returns
    /// `Unreachable` until it is.
    ///
    /// # Errors
    /// `Unauthenticated` for a refused token, `Certificate` for a refused certificate or an unreadable file; `Unreachable` for a
    /// malformed address, and when nothing answers and `options.wait` is not set.
    pub async fn connect(options: Options) -> Result<Self> {
        let addresses = address::parse_all(&options.url)
            .map_err(|why| Error::new(ErrorKind::Unreachable, why.to_string()))?;
        options.check_files()?;
        let credential = Credential::new(options.token.clone(), options.reload_token.clone())?;
        let inner = Arc::new(Inner {
            pool: Arc::new(Pool::new(addresses, options.tls.clone(), options.connect_timeout)),
            state: State::new(),
            credential: Arc::new(credential),
            options,
        });
        let exchange = Self { inner };
        match exchange.inner.check().await {
            Err(error) if error.kind != ErrorKind::Unreachable || !exchange.inner.options.wait => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(
                    url = exchange.inner.options.url,
                    error = error.what,
                    "exchange is not there, waiting for it"
                );
            }
            Ok(()) => {}
        }
        let (weak, state) = (Arc::downgrade(&exchange.inner), exchange.connection());
        tokio::spawn(state::reconnect(weak, state));
        Ok(exchange)
    }

    /// Returns whether the exchange is connected, now and at each change. Over HTTP this is the result of the last request; while
    /// it failed, the gateway is asked again and again.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.inner.state.subscribe()
    }
}

impl Inner {
    /// Sends a request and reads the whole answer. An answer is a success, or 412 for the caller to interpret.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Answer> {
        let mut result = self.send(call).await;
        // The answer of the gateway itself: it stored nothing. Only then is the same request sent with the token as it is now.
        if is_unauthenticated(&result) && self.credential.reload() {
            result = self.send(call).await;
        }
        let (result, reach) = outcome::interpret(call, &self.options.url, result);
        if matches!(reach, Reach::Down { .. }) {
            self.pool.prefer_next();
        }
        self.state.update(reach);
        result
    }

    /// Sends a request over one connection. A request that was not sent is given to another one.
    async fn send(&self, call: &Call) -> std::result::Result<Answer, Failed> {
        let limit = self.options.timeout;
        let mut left = UNSENT_ATTEMPTS;
        loop {
            let mut link = timeout(limit, self.pool.take(&self.credential))
                .await
                .unwrap_or_else(|_| Err(Failed::timeout(false, limit)))?;
            let request = call.request(&link, self.credential.header())?;
            let response = timeout(limit, link.send(request)).await;
            match response.map_err(|_| Failed::timeout(true, limit))? {
                Ok(response) => {
                    let answer = Answer::read(response, call.most, limit).await?;
                    self.pool.give_back(link);
                    return Ok(answer);
                }
                Err(mut error) => {
                    let is_unsent = error.take_message().is_some();
                    let failed = Failed::of(is_unsent, &error.into_error());
                    left -= 1;
                    if !is_unsent || failed.fault().is_some() || left == 0 {
                        return Err(failed);
                    }
                }
            }
        }
    }

    /// Ends the open connections; later requests fail.
    pub(crate) async fn close(&self) {
        self.state.close();
        self.pool.close().await;
    }
}

fn is_unauthenticated(result: &std::result::Result<Answer, Failed>) -> bool {
    result
        .as_ref()
        .is_ok_and(|answer| answer.status == StatusCode::UNAUTHORIZED && answer.problem().is_some())
}
