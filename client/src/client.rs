//! The verbs of a program that asks. Each may be repeated: nothing is doubled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::{ErrorKind, Exchange, Filed, Stored};
use jiff::Timestamp;
use nats::{JetStream, Options};
use requests::status::{self, Known, Status};
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, Payload};
use schemas::name::RecipientName;
use schemas::origin::Origin;
use schemas::part;
use schemas::progress::Progress;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request, RequestId};
use schemas::seal::{SealKey, SealRing};
use schemas::sign::{PublicKey, SigningKey};
use schemas::visible;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::error::Error;

/// Who asks, and whom it trusts.
pub struct Identity {
    /// The recipient, as its credential names it.
    pub recipient: RecipientName,
    /// The site, as the insurer's file names it under `[exchange]`, with bureau and source where they are known.
    pub origin: Origin,
    /// The seed (`SA…`) that signs requests.
    pub signing_seed: String,
    /// The bureau's signing keys, `A…`.
    pub trusted: Vec<PublicKey>,
    /// Seeds that open sealed answers; none where the bureau does not seal.
    pub sealing_seeds: Vec<String>,
}

/// Without the seeds.
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
    seals: SealRing,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Exchange`] when the exchange refuses the credential; [`Error::Key`] for a seed that is none.
    pub async fn connect(options: Options, identity: Identity) -> Result<Self, Error> {
        let exchange = JetStream::connect(options).await?;
        Self::over(Arc::new(exchange), &identity)
    }

    /// Over an exchange that is there already.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::SealKey`].
    pub fn over(exchange: Arc<dyn Exchange>, identity: &Identity) -> Result<Self, Error> {
        let seals = identity
            .sealing_seeds
            .iter()
            .map(|seed| SealKey::from_seed(seed).map(Arc::new))
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
            SealRing::new(seals),
        ))
    }

    /// Of its parts, where keys were read already.
    #[must_use]
    pub fn of(
        exchange: Arc<dyn Exchange>,
        recipient: RecipientName,
        origin: Origin,
        key: Arc<SigningKey>,
        trusted: Vec<PublicKey>,
        seals: SealRing,
    ) -> Self {
        Self {
            exchange,
            recipient,
            origin,
            key,
            trusted,
            seals,
        }
    }

    /// Files a question, once for its key, and gives the id of its request. A key that was used yesterday is found.
    ///
    /// # Errors
    /// [`Error::Text`] when a text holds what cannot be seen; [`Error::KeyTaken`] when something else was asked under
    /// the key. After [`Error::Exchange`] it may have been filed: file it again.
    pub async fn file(&self, ask: &Ask) -> Result<RequestId, Error> {
        let request = ask.request(&self.recipient, self.key.public(), &self.origin, Timestamp::now())?;
        request.check_texts()?;
        let id = request.id.clone();
        if let Some(day) = id.day().and_then(|day| day.yesterday().ok()) {
            let before = id.on(day);
            if let Some(stored) = self.exchange.request_status(&self.recipient, &before).await?.0 {
                return same(ask, &stored, before);
            }
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
            // It may be there: filing it again tells.
            filed = self.exchange.file_request(&self.recipient, &id, bytes).await;
        }
        match filed? {
            Filed::Done { .. } => Ok(id),
            Filed::Already(stored) => same(ask, &stored, id),
        }
    }

    /// Wishes that a request be no longer answered; the first final outcome wins.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::Unknown`], [`Error::Exchange`].
    pub async fn cancel(&self, id: &RequestId, reason: &str) -> Result<(), Error> {
        visible::check("reason", reason)?;
        let (_, request) = self.request(id).await?;
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
        Ok(())
    }

    /// The request itself, as it was filed.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Exchange`].
    pub async fn filed(&self, id: &RequestId) -> Result<Request, Error> {
        Ok(self.request(id).await?.0)
    }

    /// How a request stands, by what the exchange holds.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Exchange`].
    pub async fn status(&self, id: &RequestId) -> Result<Status, Error> {
        // The last step first: whatever is there by then, the steps before it are read too.
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
        let known = Known {
            filed_at: None,
            request: request.as_ref().map(Said::borrow),
            cancel: cancel.as_ref().map(Said::borrow),
            progress: progress.as_ref().map(Said::borrow),
            reply: reply.as_ref().map(Said::borrow),
            confirm: confirm.as_ref().map(Said::borrow),
        };
        status::of(&known, Timestamp::now()).ok_or_else(|| Error::Unknown(id.clone()))
    }

    /// The answer, if there is one: every signature, digest and row is checked.
    ///
    /// # Errors
    /// [`Error::Message`], [`Error::Part`], [`Error::Contradiction`] when it does not hold.
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
            let stored = found.ok_or_else(|| contradiction(format!("part {number} is not there")))?;
            let opened = part::open(&stored.bytes, &self.trusted, &self.seals)?;
            if opened.digest != *digest {
                return Err(contradiction(format!("part {number} is another one")));
            }
            parts.push(opened);
        }
        let rows: u64 = parts.iter().map(|part| part.part.totals.rows).sum();
        if rows != reply.outcome.rows() {
            return Err(contradiction(format!(
                "it says {} rows, and there are {rows}",
                reply.outcome.rows()
            )));
        }
        Ok(Some(Answer { reply, parts }))
    }

    /// Waits for the answer, looking every so often, for so long at most.
    ///
    /// # Errors
    /// [`Error::NotYet`] when the time is over; else those of [`Client::answer`].
    pub async fn wait(&self, id: &RequestId, every: Duration, most: Duration) -> Result<Answer, Error> {
        let waiting = async {
            loop {
                if let Some(answer) = self.answer(id).await? {
                    return Ok(answer);
                }
                tokio::time::sleep(every).await;
            }
        };
        let waited = tokio::time::timeout(most, waiting).await;
        waited.unwrap_or_else(|_| Err(Error::NotYet(id.clone())))
    }

    /// Ends the connection.
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
        let envelope = Envelope::seal(payload, Vec::new(), &self.key)?;
        Ok(Bytes::from(envelope.encode()?))
    }
}

/// A message that was read, with its place.
struct Said<T> {
    said: T,
    digest: Digest,
    stored_at: Timestamp,
}

impl<T> Said<T> {
    fn borrow(&self) -> status::Stored<'_, T> {
        status::Stored {
            said: &self.said,
            digest: self.digest,
            stored_at: self.stored_at,
        }
    }
}

/// Reads a message. Whose it is, the exchange enforces by its subject; where keys are given it is verified too.
fn read<P: Payload>(
    stored: Option<&Stored>,
    trusted: Option<&[PublicKey]>,
) -> Result<Option<Said<P>>, Error> {
    let Some(stored) = stored else { return Ok(None) };
    let envelope = Envelope::decode(&stored.bytes)?;
    let said = match trusted {
        Some(trusted) => envelope.verify(trusted)?,
        None => envelope.read()?,
    };
    Ok(Some(Said {
        said,
        digest: envelope.digest(),
        stored_at: stored.stored_at,
    }))
}

fn same(ask: &Ask, stored: &Stored, id: RequestId) -> Result<RequestId, Error> {
    let request: Request = Envelope::decode(&stored.bytes)?.read()?;
    if ask.is(&request) {
        Ok(id)
    } else {
        Err(Error::KeyTaken(id))
    }
}

#[cfg(test)]
mod tests;
