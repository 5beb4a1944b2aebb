//! The verbs of a program that asks. Each may be repeated: nothing is doubled.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exchange::port::Stream;
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
use schemas::reply::{Outcome, Reply};
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
        self.file_once(ask).await.map(|filed| filed.id)
    }

    /// The same, and whether it was filed just now.
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
            // It may be there: filing it again tells.
            filed = self.exchange.file_request(&self.recipient, &id, bytes).await;
        }
        match filed? {
            Filed::Done { .. } => Ok(FiledAs { id, is_new: true }),
            Filed::Already(stored) => same(ask, &stored, id),
        }
    }

    /// Files a question again whose last attempt has an outcome without an answer: under a key made from the first one's
    /// and the number of the attempt. While the last attempt waits, or where it was answered, nothing is filed and it is
    /// found: however often, and by however many programs at once, this is called, one attempt follows one outcome.
    ///
    /// # Errors
    /// As [`Client::file`]; [`Error::TooOften`].
    pub async fn file_again(&self, ask: &Ask) -> Result<FiledAs, Error> {
        let mut last = None;
        // All of them, and not until the first that is missing: of the day before yesterday nothing is found.
        for number in 1..=MOST_ATTEMPTS {
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
        if number == MOST_ATTEMPTS {
            return Err(Error::TooOften(number));
        }
        self.file_once(&ask.attempt(number + 1)).await
    }

    /// The id under which a question is at the exchange, since today or yesterday.
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

    /// The final outcome of a request; none while it waits, or where there is no such request.
    ///
    /// # Errors
    /// [`Error::Message`] when it does not hold, [`Error::Exchange`].
    pub async fn outcome(&self, id: &RequestId) -> Result<Option<Outcome>, Error> {
        let (_, reply) = self.exchange.request_status(&self.recipient, id).await?;
        let reply = read::<Reply>(reply.as_ref(), Some(&self.trusted))?;
        Ok(reply.map(|reply| reply.said.outcome))
    }

    /// The requests at the exchange that this recipient has not confirmed to have stored, sorted: all that wait, and those whose
    /// outcome is not stored yet.
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

    /// The one request whose id begins with this text.
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
            // The exchange may hold its outcome only.
            (Err(Error::NoSuch(_)), Ok(id)) => Ok(id),
            (found, _) => found,
        }
    }

    /// Wishes that a request be no longer answered; the first final outcome wins. One that has its outcome already is not
    /// cancelled, and its outcome is returned.
    ///
    /// # Errors
    /// [`Error::Text`], [`Error::Unknown`], [`Error::Exchange`].
    pub async fn cancel(&self, id: &RequestId, reason: &str) -> Result<Option<Outcome>, Error> {
        visible::check("reason", reason)?;
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

/// Attempts of one question within two days: as many as can be looked up at once.
const MOST_ATTEMPTS: u32 = 9;

/// Where a question is at the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiledAs {
    /// Its request.
    pub id: RequestId,
    /// Whether it was filed just now; else it was there before.
    pub is_new: bool,
}

/// Whether an outcome brings rows, or says that there are none.
#[must_use]
pub fn has_answer(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Answered { .. } | Outcome::Empty | Outcome::Partial { .. }
    )
}

/// The id that this text is whole; none where it may be the beginning of one.
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

/// Characters of an id that is made from a key. A shorter one may be whole, or the beginning of a longer one.
const WHOLE_ID: usize = 41;

/// The one id that is this text, or begins with it.
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
    Some(id.on(id.day()?.yesterday().ok()?))
}

fn same(ask: &Ask, stored: &Stored, id: RequestId) -> Result<FiledAs, Error> {
    let request: Request = Envelope::decode(&stored.bytes)?.read()?;
    if ask.is(&request) {
        Ok(FiledAs { id, is_new: false })
    } else {
        Err(Error::KeyTaken(id))
    }
}

#[cfg(test)]
mod tests;
