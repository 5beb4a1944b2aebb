//! One request and its answer.
//!
//! Nothing is sent without a connection: the client would buffer it and send it after reconnecting, long after the caller
//! got an error. A wait ends with the first of: the answer, a denial of this subject, the loss of the connection, the
//! timeout. After the last two the request may have arrived.

mod leaderless;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind, StatusCode};
use bytes::Bytes;
use exchange::{Connection, Error, ErrorKind, Result};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::connection::{Denial, Signals};
use crate::failover::CHECK_EVERY;
use crate::options::Options;
use crate::version;
use leaderless::Leaderless;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: Client,
    pub(crate) signals: Arc<Signals>,
    pub(crate) options: Options,
    leaderless: Leaderless,
    inbox: String,
}

/// Several answers to one request, and how they ended.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

/// Why no more answers followed.
#[derive(Debug)]
pub(crate) enum End {
    /// As many as were asked for.
    Enough,
    /// A status message: no more, or an error.
    Status(u16, String),
    /// No further answer came.
    Error(Error),
}

impl Answers {
    /// Returns the received messages, which are complete and in order; missing ones, and a lasting error, are returned by
    /// the next request. Without messages, the statuses `nothing` mean that there are none now.
    pub(crate) fn taken(self, question: &str, nothing: &[u16]) -> Result<Vec<Message>> {
        if !self.messages.is_empty() {
            return Ok(self.messages);
        }
        match self.end {
            End::Enough => Ok(Vec::new()),
            End::Status(status, _) if nothing.contains(&status) => Ok(Vec::new()),
            End::Status(503, _) => Err(Error::new(
                ErrorKind::NoLeader,
                format!("no server of the exchange leads what answers {question}"),
            )),
            End::Status(status, text) => Err(Error::new(
                ErrorKind::Protocol,
                format!("{question} was answered with {status} {text}"),
            )),
            End::Error(error) => Err(error),
        }
    }
}

/// An answer in JSON.
pub(crate) fn read<T: DeserializeOwned>(question: &str, answer: &Message) -> Result<T> {
    serde_json::from_slice(&answer.payload).map_err(|e| {
        Error::new(
            ErrorKind::Protocol,
            format!("the answer to {question} is unreadable: {e}"),
        )
    })
}

impl Wire {
    pub(crate) fn new(client: Client, signals: Arc<Signals>, options: Options) -> Self {
        let inbox = options.inbox();
        Self {
            client,
            signals,
            options,
            leaderless: Leaderless::default(),
            inbox,
        }
    }

    /// The subject of a question to the JetStream API, as this connection's account has it.
    pub(crate) fn api(&self, question: &str) -> String {
        format!("{}.{question}", self.options.api())
    }

    /// Asks and waits for the one answer.
    pub(crate) async fn ask(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message> {
        self.ask_within(self.options.timeout, subject, headers, payload)
            .await
    }

    /// Asks what only the leader of a stream answers.
    pub(crate) async fn ask_leader(
        &self,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message> {
        self.signals.failover().asked_leader(Instant::now());
        let answer = self.ask(subject, headers, payload).await;
        let is_leaderless = |error: &Error| matches!(error.kind, ErrorKind::NoLeader | ErrorKind::Unknown);
        if !answer.as_ref().is_err_and(is_leaderless) {
            self.signals.failover().led();
        }
        answer
    }

    /// Asks and waits so long for the one answer.
    pub(crate) async fn ask_within(
        &self,
        timeout: Duration,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message> {
        let mut watch = self.begin(subject, timeout).await?;
        // The wait is ours: the client's own would answer a denial with a timeout.
        let mut request = Request::new().payload(payload).timeout(None);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = tokio::select! {
            biased;
            answer = self.client.send_request(subject.to_owned(), request) => answer,
            error = watch.broken() => return Err(error),
            never = self.move_when_due() => match never {},
        };
        self.signals.failover().answered();
        match answer {
            Ok(answer) => {
                self.leaderless.answered(subject);
                Ok(answer)
            }
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                Err(self.unanswered(subject).await)
            }
            Err(error) => Err(request_error(subject, &error)),
        }
    }

    /// Asks and collects up to `most` answers, until one carries a status.
    ///
    /// A status may arrive before messages that it counts as sent. The leader of a consumer with several copies sends a message
    /// only after a majority of them has recorded the delivery, and `409 Batch Completed` at once. Those messages are awaited.
    ///
    /// # Errors
    /// Only when nothing was sent; what comes later is in [`Answers::end`].
    pub(crate) async fn gather(&self, subject: &str, payload: Bytes, most: usize) -> Result<Answers> {
        let mut watch = self.begin(subject, self.options.timeout).await?;
        let inbox = self.client.new_inbox();
        let gone = |error: &dyn std::fmt::Display| {
            Error::new(
                ErrorKind::Unreachable,
                format!("asking {subject}: the client has ended ({error})"),
            )
        };
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(|e| gone(&e))?;
        self.client
            .publish_with_reply(subject.to_owned(), inbox, payload)
            .await
            .map_err(|e| gone(&e))?;
        let (mut messages, mut sent, mut status) = (Vec::new(), most, None);
        let end = loop {
            let message = tokio::select! {
                biased;
                message = answers.next() => message,
                error = watch.broken() => break End::Error(error),
            };
            self.signals.failover().answered();
            let Some(message) = message else {
                break End::Error(gone(&"no more answers"));
            };
            match message.status.filter(|status| *status != StatusCode::OK) {
                Some(code) => {
                    sent = unsent(&message).map_or(0, |unsent| most.saturating_sub(unsent));
                    let text = message.description.map(|text| text.to_string());
                    status = Some((code.as_u16(), text.unwrap_or_default()));
                }
                None => messages.push(message),
            }
            if messages.len() >= sent {
                break match status {
                    None => End::Enough,
                    Some((503, _)) if messages.is_empty() => End::Error(self.unanswered(subject).await),
                    Some((status, text)) => End::Status(status, text),
                };
            }
        };
        if !messages.is_empty() || !matches!(end, End::Error(_)) {
            self.leaderless.answered(subject);
        }
        Ok(Answers { messages, end })
    }

    /// Uses another server of a cluster from now on, if this one is of no use.
    async fn move_if_due(&self, now: Instant) -> Result<()> {
        let info = self.client.server_info();
        version::check(&info)?;
        let is_candidate = info.cluster.is_some() && self.client.connection_state() == State::Connected;
        if !is_candidate || !self.signals.failover().must_move(now) {
            return Ok(());
        }
        let others = self.client.server_pool().await.map_or(0, |servers| servers.len());
        if others < 2 {
            return Ok(());
        }
        tracing::warn!(
            server = info.server_name,
            "server of the exchange is silent or reaches no leader, connecting to another one"
        );
        self.signals.begin_move();
        let moved = self.client.force_reconnect().await;
        let text = match moved {
            Ok(()) => "the connection moves to another server of the exchange".to_owned(),
            Err(error) => format!("the connection cannot move to another server of the exchange: {error}"),
        };
        Err(Error::new(ErrorKind::Unreachable, text))
    }

    /// Checks while a request waits. A move ends the wait, because the connection is lost.
    async fn move_when_due(&self) -> Infallible {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            // Its error is for requests that were not sent yet.
            let _ = self.move_if_due(Instant::now()).await;
        }
    }

    async fn begin(&self, subject: &str, timeout: Duration) -> Result<Watch<'_>> {
        let now = Instant::now();
        self.signals.failover().asked(now);
        self.move_if_due(now).await?;
        // Listening comes before sending, so that nothing falls between.
        let watch = Watch {
            subject: subject.to_owned(),
            inbox: &self.inbox,
            state: self.signals.state(),
            denials: self.signals.denials(),
            timeout,
            deadline: Instant::now() + timeout,
        };
        if let Some(denied) = self
            .signals
            .deaf()
            .as_ref()
            .and_then(|d| d.concerns(subject, &self.inbox))
        {
            return Err(denied_on(denied));
        }
        if self.client.connection_state() == State::Connected {
            return Ok(watch);
        }
        let known = *watch.state.borrow();
        Err(match known {
            Connection::Disconnected {
                refused: true,
                since,
                why,
            } => {
                let (url, user) = (&self.options.url, &self.options.user);
                match why {
                    Some(fault) => Error::new(
                        ErrorKind::Certificate,
                        format!("no connection to the exchange at {url} since {since:.0}: {fault}"),
                    ),
                    None => Error::new(
                        ErrorKind::Unauthenticated,
                        format!(
                            "the exchange at {url} refuses the credential of user {user:?} since {since:.0}"
                        ),
                    ),
                }
            }
            Connection::Disconnected { since, .. } => {
                let text = format!(
                    "no connection to the exchange at {} since {since:.0}; {subject} was not asked",
                    self.options.url
                );
                Error::new(ErrorKind::Unreachable, text)
            }
            Connection::Connected => {
                let text = format!(
                    "the connection to {} was just lost; {subject} was not asked",
                    self.options.url
                );
                Error::new(ErrorKind::Unreachable, text)
            }
        })
    }
}

/// An event that ends a wait before the answer.
struct Watch<'a> {
    subject: String,
    inbox: &'a str,
    state: watch::Receiver<Connection>,
    denials: broadcast::Receiver<Denial>,
    timeout: Duration,
    deadline: Instant,
}

impl Watch<'_> {
    async fn broken(&mut self) -> Error {
        tokio::select! {
            denied = denied(&mut self.denials, &self.subject, self.inbox) => denied_on(&denied),
            () = lost(&mut self.state) => {
                let text = format!("the connection was lost before {} was answered", self.subject);
                Error::new(ErrorKind::Unknown, text)
            }
            () = tokio::time::sleep_until(self.deadline) => {
                let text = format!("{} was not answered within {} ms", self.subject, self.timeout.as_millis());
                Error::new(ErrorKind::Unknown, text)
            }
        }
    }
}

async fn denied(denials: &mut broadcast::Receiver<Denial>, subject: &str, inbox: &str) -> String {
    loop {
        match denials.recv().await {
            Ok(denial) => {
                if let Some(denied) = denial.concerns(subject, inbox) {
                    return denied.to_owned();
                }
            }
            // Some were missed: should ours be among them, the timeout remains.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn lost(state: &mut watch::Receiver<Connection>) {
    while state.changed().await.is_ok() {
        if matches!(*state.borrow_and_update(), Connection::Disconnected { .. }) {
            return;
        }
    }
    std::future::pending().await
}

/// Returns how many of the requested messages the server does not send, if the status of a pull has this number.
fn unsent(status: &Message) -> Option<usize> {
    let number = status.headers.as_ref()?.get("Nats-Pending-Messages")?;
    number.as_str().parse().ok()
}

fn denied_on(subject: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("permission denied on {subject}"))
}

pub(crate) fn no_responders(subject: &str) -> Error {
    Error::new(
        ErrorKind::Topology,
        format!("nothing at the exchange listens on {subject}: its stream or consumer is missing"),
    )
}

fn request_error(subject: &str, error: &async_nats::RequestError) -> Error {
    match error.kind() {
        RequestErrorKind::NoResponders => no_responders(subject),
        RequestErrorKind::MaxPayloadExceeded => Error::new(
            ErrorKind::TooLarge,
            format!("the message for {subject} is too large: {error}"),
        ),
        RequestErrorKind::InvalidSubject => Error::new(
            ErrorKind::Protocol,
            format!("{subject:?} is not a subject: {error}"),
        ),
        RequestErrorKind::TimedOut | RequestErrorKind::Other => {
            Error::new(ErrorKind::Unknown, format!("asking {subject}: {error}"))
        }
    }
}
