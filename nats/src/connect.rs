//! Reaching the exchange, and leaving it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Auth, AuthError, ConnectErrorKind, ConnectOptions, ServerAddr};
use exchange::trust::Fault;
use exchange::{Connection, Error, ErrorKind, Result};
use nkeys::{KeyPair, KeyPairType};
use tokio::sync::watch;

use crate::connection::Signals;
use crate::options::{Options, ReadSeed};
use crate::version;
use crate::wire::Wire;

/// An exchange over JetStream. Clones share one connection.
#[derive(Clone, Debug)]
pub struct JetStream {
    pub(crate) wire: Arc<Wire>,
}

impl JetStream {
    /// Connects. With `options.wait` it returns at once when the exchange is not there yet, and
    /// every operation returns `Unreachable` until it is.
    ///
    /// # Errors
    /// `Unauthenticated` for a malformed seed or a refused credential; `Unreachable` when
    /// nothing answers and `options.wait` is not set.
    pub async fn connect(options: Options) -> Result<Self> {
        check_seed(&options)?;
        let addresses = addresses(&options)?;
        readable(&options)?;
        let signals = Arc::new(Signals::new());
        let first = connect_past_reload(&options, &signals, &addresses).await;
        let client = match first {
            Ok(client) => {
                // The event may be delayed.
                signals.connected();
                version::check(&client.server_info())?;
                client
            }
            Err(error) => {
                let error = connect_error(&options, &error);
                if error.kind != ErrorKind::Unreachable || !options.wait {
                    return Err(error);
                }
                tracing::warn!(
                    url = options.url,
                    error = error.what,
                    "exchange is not there, waiting for it"
                );
                let waiting = client_options(&options, &signals).retry_on_initial_connect();
                waiting
                    .connect(&addresses)
                    .await
                    .map_err(|error| connect_error(&options, &error))?
            }
        };
        Ok(Self {
            wire: Arc::new(Wire::new(client, signals, options)),
        })
    }

    /// The name of the connected server, or of the last one.
    #[must_use]
    pub fn server_name(&self) -> String {
        self.wire.client.server_info().server_name
    }

    /// Whether there is a connection, now and at each change.
    #[must_use]
    pub fn connection(&self) -> watch::Receiver<Connection> {
        self.wire.signals.state()
    }
}

/// Reports a missing file at once; otherwise the client would retry without end.
fn readable(options: &Options) -> Result<()> {
    let Some(tls) = &options.tls else { return Ok(()) };
    let client = tls.client.iter().flat_map(|(cert, key)| [cert, key]);
    for path in client.chain([&tls.ca]) {
        if let Err(error) = std::fs::metadata(path) {
            let text = format!("{}: {error}; check [exchange] tls", path.display());
            return Err(Error::new(ErrorKind::Certificate, text));
        }
    }
    Ok(())
}

fn check_seed(options: &Options) -> Result<()> {
    let Some(seed) = &options.seed else { return Ok(()) };
    let wrong = |what: &str| {
        let text = format!(
            "the seed of user {:?} is {what}, but a connection seed (SU…) is needed",
            options.user
        );
        Error::new(ErrorKind::Unauthenticated, text)
    };
    let pair = KeyPair::from_seed(seed.trim()).map_err(|_| wrong("no nkey seed"))?;
    match pair.key_pair_type() {
        KeyPairType::User => Ok(()),
        KeyPairType::Account => Err(wrong("a signing seed (SA…)")),
        _ => Err(wrong("an nkey seed of another kind")),
    }
}

/// A malformed address is an error at once: waiting does not correct it.
fn addresses(options: &Options) -> Result<Vec<ServerAddr>> {
    let parsed = options.url.split(',').map(|url| url.trim().parse::<ServerAddr>());
    parsed.collect::<std::result::Result<_, _>>().map_err(|error| {
        let text = format!(
            "{:?} is not an address of an exchange (nats://host:port): {error}",
            options.url
        );
        Error::new(ErrorKind::Unreachable, text)
    })
}

/// Delays before the attempts that follow a handshake which the server cut off or refused.
const RELOAD_DELAYS: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(900),
];

/// The attempts after a refused credential. Fewer, because it is seldom a reload, and a person waits for the error.
const REFUSED_RETRIES: usize = 2;

/// Connects. A server that reloads its accounts closes the connections whose handshake is under way, and knows no user for a
/// moment: a handshake that was cut off is tried again, at most three times, and a refused credential twice. A server that
/// does not listen is not asked again.
async fn connect_past_reload(
    options: &Options,
    signals: &Arc<Signals>,
    addresses: &[ServerAddr],
) -> std::result::Result<async_nats::Client, async_nats::ConnectError> {
    for (attempt, delay) in RELOAD_DELAYS.into_iter().enumerate() {
        let tried = client_options(options, signals).connect(addresses).await;
        let is_worth_another = |error: &async_nats::ConnectError| {
            is_cut_off(error) || (attempt < REFUSED_RETRIES && is_refusal(error))
        };
        match tried {
            Err(error) if is_worth_another(&error) => tokio::time::sleep(delay).await,
            other => return other,
        }
    }
    client_options(options, signals).connect(addresses).await
}

/// Returns whether the server accepted the connection and closed it before the handshake was complete.
fn is_cut_off(error: &async_nats::ConnectError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    if error.kind() != ConnectErrorKind::Io {
        return false;
    }
    let Some(source) = std::error::Error::source(error) else {
        return false;
    };
    match source.downcast_ref::<std::io::Error>() {
        Some(io) => matches!(
            io.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        ),
        // The client's own words for a connection that ends before INFO, and between CONNECT and PONG.
        None => matches!(
            source.to_string().as_str(),
            "broken pipe" | "expected INFO, got nothing"
        ),
    }
}

/// Returns whether the server refused the credential.
fn is_refusal(error: &async_nats::ConnectError) -> bool {
    matches!(
        error.kind(),
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication
    )
}

fn connect_error(options: &Options, error: &async_nats::ConnectError) -> Error {
    if let Some(fault) = Fault::of(&error.to_string()) {
        let text = format!(
            "the exchange at {}, user {:?}: {fault}",
            options.url, options.user
        );
        return Error::new(ErrorKind::Certificate, text);
    }
    let (kind, what) = if is_refusal(error) {
        (ErrorKind::Unauthenticated, "refused the credential of user")
    } else {
        (ErrorKind::Unreachable, "could not be reached by user")
    };
    Error::new(
        kind,
        format!(
            "the exchange at {} {what} {:?}: {error}",
            options.url, options.user
        ),
    )
}

fn client_options(options: &Options, signals: &Arc<Signals>) -> ConnectOptions {
    let (signals, trying) = (Arc::clone(signals), Arc::clone(signals));
    // Signs the exchange's nonce with the seed as it is now.
    let begun = match &options.seed {
        Some(seed) => {
            let keys = Arc::new(Keys::new(seed, options.reload_seed.clone()));
            ConnectOptions::with_auth_callback(move |nonce| {
                let signed = keys.sign(&nonce);
                async move { signed }
            })
        }
        None => ConnectOptions::new(),
    };
    let keyed = begun
        .name(format!("slacktide {}", options.user))
        .custom_inbox_prefix(options.inbox())
        .connection_timeout(options.connect_timeout)
        // A dead peer is noticed after about 20 s; the client's default is two minutes.
        .ping_interval(Duration::from_secs(10))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| delay(attempt, rand::random_range(0.5..1.5)))
        .reconnect_to_server_callback(move |servers, _| {
            let next = trying.next_server(&servers);
            let errors: Vec<_> = servers.into_iter().map(|server| server.last_error).collect();
            trying.attempted(&errors);
            std::future::ready(next)
        })
        .event_callback(move |event| {
            let signals = Arc::clone(&signals);
            async move { signals.take(&event) }
        });
    let Some(tls) = &options.tls else { return keyed };
    // The client reads the files at every connection.
    let trusting = keyed.require_tls(true).add_root_certificates(tls.ca.clone());
    match &tls.client {
        Some((cert, key)) => trusting.add_client_certificate(cert.clone(), key.clone()),
        None => trusting,
    }
}

/// The connection key in use, and where a newer one may be.
struct Keys {
    last: Mutex<String>,
    reload: Option<ReadSeed>,
}

impl Keys {
    fn new(seed: &str, reload: Option<ReadSeed>) -> Self {
        Self {
            last: Mutex::new(seed.trim().to_owned()),
            reload,
        }
    }

    /// The pair of the newest seed that is one of a connection key: a file that is just being
    /// written, or is gone, must not end a connection that the key of before would get.
    fn pair(&self) -> std::result::Result<KeyPair, nkeys::error::Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seed) = self.reload.as_ref().and_then(|read| read()) {
            let pair = KeyPair::from_seed(seed.trim());
            if let Some(pair) = pair.ok().filter(|pair| pair.key_pair_type() == KeyPairType::User) {
                seed.trim().clone_into(&mut last);
                return Ok(pair);
            }
        }
        KeyPair::from_seed(&last)
    }

    fn sign(&self, nonce: &[u8]) -> std::result::Result<Auth, AuthError> {
        let sign_error = |_| AuthError::new("the connection key cannot sign");
        let pair = self.pair().map_err(sign_error)?;
        let mut auth = Auth::new();
        auth.signature = Some(pair.sign(nonce).map_err(sign_error)?);
        auth.nkey = Some(pair.public_key());
        Ok(auth)
    }
}

/// The wait before an attempt: none before the first, then from 50 ms doubling to 4 s, times
/// `jitter`, so that a fleet does not come back in one moment.
fn delay(attempt: usize, jitter: f64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(2))
        .unwrap_or(u32::MAX)
        .min(7);
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(50 << doublings)
            .min(Duration::from_secs(4))
            .mul_f64(jitter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delay_grows_and_is_bounded() {
        assert_eq!(delay(1, 1.0), Duration::ZERO);
        assert_eq!(delay(2, 1.0), Duration::from_millis(50));
        assert_eq!(delay(4, 0.5), Duration::from_millis(100));
        assert_eq!(delay(usize::MAX, 1.0), Duration::from_secs(4));
    }

    #[test]
    fn keys_use_a_changed_seed_and_ignore_invalid_ones() {
        let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
        let sign = KeyPair::new_account().seed().unwrap();
        let file = Arc::new(Mutex::new(None));
        let read = Arc::clone(&file);
        let keys = Keys::new(
            &old.seed().unwrap(),
            Some(Arc::new(move || read.lock().unwrap().clone())),
        );
        let used = || keys.sign(b"nonce").unwrap().nkey.unwrap();
        assert_eq!(used(), old.public_key(), "a file that is gone");
        *file.lock().unwrap() = Some(new.seed().unwrap() + "\n");
        assert_eq!(used(), new.public_key());
        for spoilt in [sign.as_str(), "SU", ""] {
            *file.lock().unwrap() = Some(spoilt.to_owned());
            assert_eq!(used(), new.public_key(), "the last that was one");
        }
    }

    #[test]
    fn connect_names_a_signing_seed_without_its_text() {
        let pair = KeyPair::new_account();
        let seed = pair.seed().unwrap();
        let error = check_seed(&Options::agent("nats://h", "bureau", &seed)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert!(error.what.contains("signing seed") && !error.what.contains(&seed));
    }
}
