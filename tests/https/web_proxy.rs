//! A proxy for HTTP/1.1 between client and gateway. It reads every message whole before it passes it on, as a proxy that buffers
//! does, and applies one fault to the next request that matches.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The gateway answers; the client's connection is closed instead. Before that the proxy notifies, and waits for the test.
    LoseAnswer(Arc<Hold>),
    /// Half of the answer's body is passed on, then the connection is closed.
    Truncate,
    /// Half of the body is passed on without its length, so that the end of the connection looks like the end of the body.
    TruncateUnseen,
    /// One byte of the answer's body is changed.
    Alter,
    /// The gateway answers; the client gets this answer of the proxy.
    Replace(&'static str),
    /// The client gets this answer of the proxy, and the gateway no request.
    Refuse(&'static str),
    /// The request is sent twice; the client gets the second answer.
    Repeat,
}

/// A meeting of test and proxy.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The gateway has answered.
    pub(crate) answered: Notify,
    /// The client's connection may be closed.
    pub(crate) released: Notify,
}

/// A fault that waits for its request.
struct Armed {
    /// How the request begins: method and path.
    request: String,
    fault: Fault,
}

/// A proxy on loopback. Dropping it closes all its connections.
pub(crate) struct WebProxy {
    port: u16,
    armed: Arc<Mutex<Option<Armed>>>,
    accepting: JoinHandle<()>,
}

impl WebProxy {
    /// Starts a proxy to the gateway on this loopback port.
    pub(crate) async fn start(gateway: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, harness::free_port()))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(Mutex::new(None));
        let accepting = tokio::spawn(accept(listener, gateway, Arc::clone(&armed)));
        Self {
            port,
            armed,
            accepting,
        }
    }

    /// Returns its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Applies a fault to the next request that begins with this text, such as `PUT /v1/lanes`.
    pub(crate) fn arm(&self, request: &str, fault: Fault) {
        *self.armed.lock().unwrap() = Some(Armed {
            request: request.to_owned(),
            fault,
        });
    }

    /// Returns whether the fault was applied.
    pub(crate) fn is_applied(&self) -> bool {
        self.armed.lock().unwrap().is_none()
    }
}

impl Drop for WebProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, gateway: u16, armed: Arc<Mutex<Option<Armed>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                connections.spawn(forward(client, gateway, Arc::clone(&armed)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Forwards requests until either side ends.
async fn forward(mut client: TcpStream, gateway: u16, armed: Arc<Mutex<Option<Armed>>>) -> Option<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, gateway)).await.ok()?;
    loop {
        let request = read_message(&mut client).await?;
        let Some(fault) = take(&armed, &request) else {
            let answer = ask(&mut server, &request).await?;
            client.write_all(&answer.bytes()).await.ok()?;
            continue;
        };
        match fault {
            Fault::LoseAnswer(hold) => {
                ask(&mut server, &request).await?;
                hold.answered.notify_one();
                hold.released.notified().await;
                return None;
            }
            Fault::Truncate => {
                let mut answer = ask(&mut server, &request).await?;
                answer.body.truncate(answer.body.len() / 2);
                client.write_all(&answer.bytes()).await.ok()?;
                return None;
            }
            Fault::TruncateUnseen => {
                let mut answer = ask(&mut server, &request).await?;
                answer.body.truncate(answer.body.len() / 2);
                answer.head = without_length(&answer.head);
                client.write_all(&answer.bytes()).await.ok()?;
                return None;
            }
            Fault::Alter => {
                let mut answer = ask(&mut server, &request).await?;
                *answer.body.last_mut()? ^= 1;
                client.write_all(&answer.bytes()).await.ok()?;
            }
            Fault::Replace(text) => {
                ask(&mut server, &request).await?;
                client.write_all(text.as_bytes()).await.ok()?;
            }
            Fault::Refuse(text) => client.write_all(text.as_bytes()).await.ok()?,
            Fault::Repeat => {
                ask(&mut server, &request).await?;
                let answer = ask(&mut server, &request).await?;
                client.write_all(&answer.bytes()).await.ok()?;
            }
        }
    }
}

fn take(armed: &Mutex<Option<Armed>>, request: &Message) -> Option<Fault> {
    let mut armed = armed.lock().unwrap();
    let matches = |armed: &mut Armed| request.head.starts_with(armed.request.as_bytes());
    armed.take_if(matches).map(|armed| armed.fault)
}

async fn ask(server: &mut TcpStream, request: &Message) -> Option<Message> {
    server.write_all(&request.bytes()).await.ok()?;
    read_message(server).await
}

/// A request or an answer.
struct Message {
    /// Up to the empty line, included.
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        [&self.head[..], &self.body[..]].concat()
    }
}

/// Reads a message with a Content-Length, or without a body.
async fn read_message(stream: &mut TcpStream) -> Option<Message> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    assert!(!text.contains("transfer-encoding"), "{text}");
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |value| value.trim().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message { head, body })
}

fn without_length(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let lines = text
        .split("\r\n")
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("content-length:"));
    let kept: Vec<&str> = lines.chain(["connection: close"]).collect();
    format!("{}\r\n\r\n", kept.join("\r\n")).into_bytes()
}
