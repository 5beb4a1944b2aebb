//! One request to the collector: a connection of its own, in clear, to this host.

use std::convert::Infallible;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::net::TcpStream;

/// The maximum bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// The collector.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let (mut parts, body) = request.into_parts();
        if let Some(path) = parts.uri.path_and_query() {
            parts.uri = path.clone().into();
        }
        parts
            .headers
            .insert(HOST, format!("{}:{}", self.host, self.port).parse()?);
        let asking = async {
            let answer = sender
                .send_request(Request::from_parts(parts, Full::new(body)))
                .await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // The connection runs only while it is asked. Its end shows in the request; it may end before the answer is read.
        let driving = async {
            let _ = connection.await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            answer = asking => answer,
            never = driving => match never {},
        }
    }
}
