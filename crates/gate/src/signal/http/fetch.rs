//! One request: its own connection, a bounded answer, no redirect.

use std::path::Path;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::answer::Answer;
use super::config::UrlSignalConfig;
use super::error::RequestError;

/// Maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A request. It has no `Debug` because it contains secrets.
pub(super) struct Request {
    uri: Uri,
    host: String,
    port: u16,
    display_host: String,
    header: Option<(HeaderName, HeaderValue)>,
    tls: Option<TlsConnector>,
}

impl Request {
    pub(super) fn new(table: &UrlSignalConfig, folder: &Path) -> Result<Self, RequestError> {
        let uri: Uri = table.url.parse().map_err(|_| RequestError::InvalidUrl)?;
        let host = uri.host().ok_or(RequestError::NoHost)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let header = table.header.as_ref().map(|header| {
            let name: HeaderName = header.name.parse().map_err(|_| RequestError::InvalidHeaderName)?;
            let text = header.value.read(folder)?;
            let mut value: HeaderValue = text
                .expose()
                .parse()
                .map_err(|_| RequestError::InvalidHeaderValue)?;
            value.set_sensitive(true);
            Ok::<_, RequestError>((name, value))
        });
        Ok(Self {
            display_host: table.host().to_owned(),
            header: header.transpose()?,
            tls: if secure { Some(connector()?) } else { None },
            uri,
            host,
            port,
        })
    }

    /// Returns the host for display; never more of the URL.
    pub(super) fn display_host(&self) -> &str {
        &self.display_host
    }

    pub(super) async fn get(&self) -> Result<Answer, RequestError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| RequestError::Unreachable(error.kind()))?;
        match &self.tls {
            None => self.ask(stream).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|_| RequestError::NoTlsName)?;
                let stream = tls.connect(name, stream).await.map_err(RequestError::Tls)?;
                self.ask(stream).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Answer, RequestError> {
        let broken = |_| RequestError::Closed;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async {
            let path = self
                .uri
                .path_and_query()
                .map_or("/", hyper::http::uri::PathAndQuery::as_str);
            let host = self.uri.authority().map_or("", |authority| authority.as_str());
            let mut request = hyper::Request::get(path)
                .header(HOST, host)
                .header(USER_AGENT, "slacktide")
                .header(ACCEPT, "*/*")
                .header(CONNECTION, "close");
            if let Some((name, value)) = &self.header {
                request = request.header(name, value);
            }
            let request = request
                .body(Empty::<Bytes>::new())
                .map_err(|_| RequestError::InvalidPath)?;
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status().as_u16();
            if response
                .headers()
                .get(header::CONTENT_LENGTH)
                .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
                .is_some_and(|length| length > MAX_ANSWER_BYTES)
            {
                return Err(RequestError::TooLong);
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
                .collect()
                .await
                .map_err(|_| RequestError::TooLongOrCut)?;
            Ok(Answer {
                status,
                body: body.to_bytes().to_vec(),
            })
        };
        // Drives the connection here, not in a task, so that it ends with the request.
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // The peer may have closed the connection after the whole answer.
            _ = &mut connection => exchange.await,
        }
    }
}

fn connector() -> Result<TlsConnector, RequestError> {
    let mut roots = RootCertStore::empty();
    let (known, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if known == 0 {
        return Err(RequestError::NoTrustedCertificates);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
