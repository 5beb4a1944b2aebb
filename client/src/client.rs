//! The operations of a requesting program. All of them are idempotent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::port::Stream;
use exchange::{ErrorKind, Exchange, Filed, Stored};
use jiff::Timestamp;
use nats::{JetStream, Options};
use requests::status::{self, RequestMessages, Status};
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::encryption::{DecryptionKeys, EncryptionKey};
use schemas::envelope::{Envelope, Payload};
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::part;
use schemas::progress::Progress;
use schemas::reply::{Outcome, Reply};
use schemas::request::{Cancel, Request, RequestId};
use schemas::sign::{PublicKey, SigningKey};
use schemas::visible;
use web::WebExchange;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::error::Error;

/// The requesting party, and the keys that it trusts.
pub struct Identity {
    /// The recipient, as its credential names it.
    pub recipient: RecipientName,
    /// The site, as the insurer's file names it under `[exchange]`, with bureau and source where they are known.
    pub origin: Origin,
    /// The seed (`SA…`) that signs requests.
    pub signing_seed: String,
    /// The bureau's signing keys, `A…`.
    pub trusted: Vec<PublicKey>,
    /// Seeds that decrypt answers; empty if the bureau does not encrypt.
    pub decryption_seeds: Vec<String>,
}

/// Omits the seeds.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("recipient", &self.recipient)
            .finish_non_exhaustive()
    }
}

/// A connection to the exchange, as one recipient.
pub struct Client {
    exchange: Arc<dyn Exchange>,
    recipient: RecipientName,
    origin: Origin,
    key: Arc<SigningKey>,
    trusted: Vec<PublicKey>,
    decryption_keys: DecryptionKeys,
}

impl Client {
    /// Connects to the exchange through a gateway, over HTTPS.
    ///
    /// # Errors
    /// [`Error::Exchange`] when the gateway refuses the credential; [`Error::Key`] for an invalid seed.
    pub async fn connect_over_https(options: web::Options, identity: Identity) -> Result<Self, Error> {
        let exchange = WebExchange::connect(options).await?;
        Self::over(Arc::new(exchange), &identity)
    }

    /// Connects to the exchange.
    ///
    /// # Errors
    /// [`Error::Exchange`] when the exchange refuses the credential; [`Error::Key`] for an invalid seed.
    pub async fn connect(options: Options, identity: Identity) -> Result<Self, Error> {
        let exchange = JetStream::connect(options).await?;
        Self::over(Arc::new(exchange), &identity)
    }

    /// Creates a client over an existing exchange connection.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::EncryptionKey`].
    pub fn over(exchange: Arc<dyn Exchange>, identity: &Identity) -> Result<Self, Error> {
        let keys = identity
            .decryption_seeds
            .iter()
            .map(|seed| EncryptionKey::from_seed(seed).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let key = Arc::new(SigningKey::from_seed(&identity.signing_seed)?);
        let (recipient, trusted) = (identity.recipient.clone(), identity.trusted.clone());
        let origin = identity.origin.clone();
        Ok(Self::of(
            exchange,
            recipient,
            origin,
            key,
            trusted,
            DecryptionKeys::new(keys),
        ))
    }

    /// Creates a client from its parts, with parsed keys.
    #[must_use]
    pub fn of(
        exchange: Arc<dyn Exchange>,
        recipient: RecipientName,
        origin: Origin,
        key: Arc<SigningKey>,
        trusted: Vec<PublicKey>,
        decryption_keys: DecryptionKeys,
    ) -> Self {
        Self {
            exchange,
            recipient,
            origin,
            key,
            trusted,
            decryption_keys,
        }
    }

    /// Files a request, once per key, and returns its id. Finds a key that was used yesterday.
    ///
    /// # Errors
    /// [`Error::Text`] for an invisible character; [`Error::KeyTaken`] when another request was filed under
    /// the key. After [`Error::Exchange`] it may have been filed: file it again.
    pub async fn file(&self, ask: &Ask) -> Result<RequestId, Error> {
        self.file_once(ask).await.map(|filed| filed.id)
    }

    /// Files a request, and returns whether it is new.
    ///
    /// # Errors
    /// As [`Client::file`].
    pub async fn file_once(&self, ask: &Ask) -> Result<FiledAs, Error> {
        let request = ask.request(&self.recipient, self.key.public(), &self.origin, Timestamp::now())?;
        request.check_texts()?;
        let id = request.id.clone();
        if let Some(before) = yesterday(&id)
            && let Some(stored) = self.exchange.request_status(&self.recipient, &before).await?.0
        {
            return same(ask, &stored, before);
        }
        let bytes = self.signed(&request)?;
        let mut filed = self
            .exchange
            .file_request(&self.recipient, &id, bytes.clone())
            .await;
        if filed
            .as_ref()
            .is_err_and(|error| error.kind == ErrorKind::Unknown)
        {
            // It may be stored; a second filing shows it.
            filed = self.exchange.file_request(&self.recipient, &id, bytes).await;
        }
        match filed? {
            Filed::Done { .. } => Ok(FiledAs { id, is_new: true }),
            Filed::Exists(stored) => same(ask, &stored, id),
        }
    }

    /// Files the next attempt of a request whose last attempt has an outcome without an answer, under a key that is derived
    /// from the first one and the number of the attempt. If the last attempt is pending or answered, it returns that one.
    /// Concurrent and repeated calls create one attempt per outcome.
    ///
    /// # Errors
    /// As [`Client::file`]; [`Error::TooOften`].
    pub async fn file_again(&self, ask: &Ask) -> Result<FiledAs, Error> {
        let mut last = None;
        // Checks all numbers, because attempts of the day before yesterday are not found.
        for number in 1..=MAX_ATTEMPTS {
            if let Some(id) = self.known(&ask.attempt(number)).await? {
                last = Some((number, id));
            }
        }
        let Some((number, id)) = last else {
            return self.file_once(ask).await;
        };
        let is_answerless = self
            .outcome(&id)
            .await?
            .is_some_and(|outcome| !has_answer(&outcome));
        if !is_answerless {
            return Ok(FiledAs { id, is_new: false });
        }
        if number == MAX_ATTEMPTS {
            return Err(Error::TooOften(number));
        }
        self.file_once(&ask.attempt(number + 1)).await
    }

    /// Returns the id of a request that was filed today or yesterday.
    async fn known(&self, ask: &Ask) -> Result<Option<RequestId>, Error> {
        let request = ask.request(&self.recipient, self.key.public(), &self.origin, Timestamp::now())?;
        let ids = [yesterday(&request.id), Some(request.id)];
        for id in ids.into_iter().flatten() {
            if let Some(stored) = self.exchange.request_status(&self.recipient, &id).await?.0 {
                return same(ask, &stored, id).map(|known| Some(known.id));
            }
        }
        Ok(None)
    }

    /// Returns the final outcome of a request, or `None` if it is pending or unknown.
    ///
    /// # Errors
    /// [`Error::Message`] when it is invalid, [`Error::Exchange`].
    pub async fn outcome(&self, id: &RequestId) -> Result<Option<Outcome>, Error> {
        let (_, reply) = self.exchange.request_status(&self.recipient, id).await?;
        let reply = read::<Reply>(reply.as_ref(), Some(&self.trusted))?;
        Ok(reply.map(|reply| reply.message.outcome))
    }

    /// Returns the ids of the requests whose reply this recipient has not confirmed as stored, sorted.
    ///
    /// # Errors
    /// [`Error::Exchange`].
    pub async fn unconfirmed(&self) -> Result<Vec<RequestId>, Error> {
        let confirmed = self
            .exchange
            .request_ids(&self.recipient, Stream::Confirms)
            .await?;
        let mut ids = self
            .exchange
            .request_ids(&self.recipient, Stream::Requests)
            .await?;
        ids.retain(|id| confirmed.binary_search(id).is_err());
        Ok(ids)
    }

    /// Returns the only request whose id begins with this text.
    ///
    /// # Errors
    /// [`Error::BadId`], [`Error::NoSuch`], [`Error::Ambiguous`], [`Error::Exchange`].
    pub async fn find(&self, text: &str) -> Result<RequestId, Error> {
        if let Some(id) = whole(text)? {
            return Ok(id);
        }
        let all = self
            .exchange
            .request_ids(&self.recipient, Stream::Requests)
            .await?;
        match (one_of(text, &all), text.parse()) {
            // The exchange may hold only its outcome.
            (Err(Error::NoSuch(_)), Ok(id)) => Ok(id),
            (found, _) => found,
        }
    }

    /// Files the cancellation of a request; the first final outcome wins. Returns the outcome of a request that already has
    /// one, without cancelling it.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::Unknown`], [`Error::Exchange`].
    pub async fn cancel(&self, id: &RequestId, reason: &str) -> Result<Option<Outcome>, Error> {
        visible::check_visible("reason", reason)?;
        let (_, request) = self.request(id).await?;
        if let Some(outcome) = self.outcome(id).await? {
            return Ok(Some(outcome));
        }
        let cancel = Cancel {
            id: id.clone(),
            recipient: self.recipient.clone(),
            request,
            reason: reason.to_owned(),
            at: Timestamp::now(),
            key: self.key.public().clone(),
        };
        let bytes = self.signed(&cancel)?;
        self.exchange.cancel_request(&self.recipient, id, bytes).await?;
        Ok(None)
    }

    /// Returns the request as filed.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Exchange`].
    pub async fn filed(&self, id: &RequestId) -> Result<Request, Error> {
        Ok(self.request(id).await?.0)
    }

    /// Returns the status of a request, from the messages at the exchange.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Exchange`].
    pub async fn status(&self, id: &RequestId) -> Result<Status, Error> {
        // Reads the last step first, so that all steps before a seen one are seen too.
        let confirm = self.exchange.confirmation(&self.recipient, id).await?;
        let progress = self.exchange.progress(&self.recipient, id).await?;
        let (request, reply) = self.exchange.request_status(&self.recipient, id).await?;
        let cancel = self.exchange.cancellation(&self.recipient, id).await?;
        let own = [self.key.public().clone()];
        let request = read::<Request>(request.as_ref(), None)?;
        let cancel = read::<Cancel>(cancel.as_ref(), Some(&own))?;
        let progress = read::<Progress>(progress.as_ref(), Some(&self.trusted))?;
        let reply = read::<Reply>(reply.as_ref(), Some(&self.trusted))?;
        let confirm = read::<Confirm>(confirm.as_ref(), None)?;
        let known = RequestMessages {
            filed_at: None,
            request: request.as_ref().map(ReadMessage::borrow),
            cancel: cancel.as_ref().map(ReadMessage::borrow),
            progress: progress.as_ref().map(ReadMessage::borrow),
            reply: reply.as_ref().map(ReadMessage::borrow),
            confirm: confirm.as_ref().map(ReadMessage::borrow),
        };
        status::compute(&known, Timestamp::now()).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// Returns the answer, if there is one, after checking every signature, digest and row.
    ///
    /// # Errors
    /// [`Error::Message`], [`Error::Part`], [`Error::Contradiction`] when it is invalid.
    pub async fn answer(&self, id: &RequestId) -> Result<Option<Answer>, Error> {
        let (_, asked) = self.request(id).await?;
        let Some(stored) = self.exchange.request_status(&self.recipient, id).await?.1 else {
            return Ok(None);
        };
        let reply: Reply = Envelope::decode(&stored.bytes)?.verify(&self.trusted)?;
        let contradiction = |what: String| Error::Contradiction { id: id.clone(), what };
        if (&reply.id, &reply.recipient, reply.request) != (id, &self.recipient, asked) {
            return Err(contradiction("it answers another request".to_owned()));
        }
        let attempt = reply.attempt.unwrap_or_default();
        let mut parts = Vec::new();
        for (number, digest) in (1_u32..).zip(reply.outcome.parts()) {
            let found = self.exchange.part(&self.recipient, id, attempt, number).await?;
            let stored = found.ok_or_else(|| contradiction(format!("part {number} is missing")))?;
            let opened = part::VerifiedPart::open(&stored.bytes, &self.trusted, &self.decryption_keys)?;
            if opened.digest != *digest {
                return Err(contradiction(format!("part {number} has another digest")));
            }
            parts.push(opened);
        }
        let rows: u64 = parts.iter().map(|part| part.manifest.content.totals.rows).sum();
        if rows != reply.outcome.rows() {
            return Err(contradiction(format!(
                "it declares {} rows, and there are {rows}",
                reply.outcome.rows()
            )));
        }
        Ok(Some(Answer { reply, parts }))
    }

    /// Polls for the answer with this interval, up to this timeout.
    ///
    /// # Errors
    /// [`Error::NotYet`] after the timeout; else the errors of [`Client::answer`].
    pub async fn wait(&self, id: &RequestId, interval: Duration, limit: Duration) -> Result<Answer, Error> {
        let waiting = async {
            loop {
                if let Some(answer) = self.answer(id).await? {
                    return Ok(answer);
                }
                tokio::time::sleep(interval).await;
            }
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        waited.unwrap_or_else(|_| Err(Error::NotYet(id.clone())))
    }

    /// Closes the connection.
    pub async fn close(&self) {
        self.exchange.close().await;
    }

    async fn request(&self, id: &RequestId) -> Result<(Request, Digest), Error> {
        let (request, _) = self.exchange.request_status(&self.recipient, id).await?;
        let stored = request.ok_or_else(|| Error::Unknown(id.clone()))?;
        let envelope = Envelope::decode(&stored.bytes)?;
        Ok((envelope.read()?, envelope.digest()))
    }

    fn signed<P: Payload>(&self, payload: &P) -> Result<Bytes, Error> {
        let envelope = Envelope::sign(payload, Vec::new(), &self.key)?;
        Ok(Bytes::from(envelope.encode()?))
    }
}

/// A read message with its digest and time.
struct ReadMessage<T> {
    message: T,
    digest: Digest,
    stored_at: Timestamp,
}

impl<T> ReadMessage<T> {
    fn borrow(&self) -> status::Stored<'_, T> {
        status::Stored {
            message: &self.message,
            digest: self.digest,
            stored_at: self.stored_at,
        }
    }
}

/// Reads a message. The exchange enforces its author by the subject; with trusted keys it is verified too.
fn read<P: Payload>(
    stored: Option<&Stored>,
    trusted: Option<&[PublicKey]>,
) -> Result<Option<ReadMessage<P>>, Error> {
    let Some(stored) = stored else { return Ok(None) };
    let envelope = Envelope::decode(&stored.bytes)?;
    let message = match trusted {
        Some(trusted) => envelope.verify(trusted)?,
        None => envelope.read()?,
    };
    Ok(Some(ReadMessage {
        message,
        digest: envelope.digest(),
        stored_at: stored.stored_at,
    }))
}

/// Maximum number of attempts of one request within two days.
const MAX_ATTEMPTS: u32 = 9;

/// The id of a filed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledAs {
    /// Its request.
    pub id: RequestId,
    /// Whether this call filed it.
    pub is_new: bool,
}

/// Returns whether an outcome is an answer, with or without rows.
#[must_use]
pub fn has_answer(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered { .. } | Outcome::Empty | Outcome::Partial { .. }
    )
}

/// Parses a complete id; returns `None` for a possible prefix.
///
/// # Errors
/// [`Error::BadId`].
pub fn whole(text: &str) -> Result<Option<RequestId>, Error> {
    let is_part = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'-';
    if text.is_empty() || text.len() > WHOLE_ID || !text.bytes().all(is_part) {
        return Err(Error::BadId);
    }
    Ok(if text.len() == WHOLE_ID {
        text.parse().ok()
    } else {
        None
    })
}

/// Characters of an id that is derived from a key. A shorter text may be complete, or the prefix of a longer id.
const WHOLE_ID: usize = 41;

/// Returns the only id that equals this text or begins with it.
///
/// # Errors
/// [`Error::NoSuch`], [`Error::Ambiguous`].
pub fn one_of(text: &str, all: &[RequestId]) -> Result<RequestId, Error> {
    let named: Vec<&RequestId> = all.iter().filter(|id| id.to_string().starts_with(text)).collect();
    match named.as_slice() {
        [] => Err(Error::NoSuch(text.to_owned())),
        [one] => Ok((*one).clone()),
        several => match several.iter().find(|id| id.to_string() == text) {
            Some(exact) => Ok((**exact).clone()),
            None => Err(Error::Ambiguous {
                prefix: text.to_owned(),
                ids: several.iter().take(4).map(|id| (*id).clone()).collect(),
            }),
        },
    }
}

fn yesterday(id: &RequestId) -> Option<RequestId> {
    Some(id.with_day(id.day()?.yesterday().ok()?))
}

fn same(ask: &Ask, stored: &Stored, id: RequestId) -> Result<FiledAs, Error> {
    let request: Request = Envelope::decode(&stored.bytes)?.read()?;
    if ask.matches(&request) {
        Ok(FiledAs { id, is_new: false })
    } else {
        Err(Error::KeyTaken(id))
    }
}

#[cfg(test)]
mod tests;
