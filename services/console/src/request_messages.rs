//! The messages of one request at the exchange, opened with the keys of their parties.

use bytes::Bytes;
use exchange::{Exchange, Stored};
use jiff::Timestamp;
use requests::status::{self, RequestMessages, Status};
use schemas::confirm::Confirm;
use schemas::digest::Digest;
use schemas::envelope::{Envelope, EnvelopeError, Payload};
use schemas::name::{PartyName, RecipientName};
use schemas::progress::Progress;
use schemas::reply::Reply;
use schemas::request::{Cancel, Request, RequestId};
use schemas::sign::PublicKey;

use crate::facts::Trust;

/// The keys that sign the messages of one recipient's requests.
#[derive(Debug, Clone)]
pub(crate) struct RequestKeys {
    recipient: Vec<PublicKey>,
    bureau: Vec<PublicKey>,
}

impl RequestKeys {
    /// Takes the keys of a recipient and of the bureau.
    pub(crate) fn of(trust: &Trust, recipient: &RecipientName) -> Self {
        let own = PartyName::new(recipient.as_str());
        Self {
            recipient: own.map(|party| trust.keys(&party).to_vec()).unwrap_or_default(),
            bureau: trust.bureau_keys().to_vec(),
        }
    }

    /// The bureau's keys.
    pub(crate) fn bureau(&self) -> &[PublicKey] {
        &self.bureau
    }
}

/// A message with its digest and time.
#[derive(Debug, Clone)]
pub(crate) struct Opened<T> {
    pub(crate) message: T,
    pub(crate) digest: Digest,
    pub(crate) stored_at: Timestamp,
}

impl<T> Opened<T> {
    fn borrow(&self) -> status::Stored<'_, T> {
        status::Stored {
            message: &self.message,
            digest: self.digest,
            stored_at: self.stored_at,
        }
    }
}

/// The messages of one request.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    pub(crate) recipient: RecipientName,
    pub(crate) id: RequestId,
    pub(crate) request: Option<Opened<Request>>,
    pub(crate) cancel: Option<Opened<Cancel>>,
    pub(crate) progress: Option<Opened<Progress>>,
    pub(crate) reply: Option<Opened<Reply>>,
    pub(crate) confirm: Option<Opened<Confirm>>,
    /// Whether each message was verified with a configured key.
    pub(crate) is_verified: bool,
    /// The messages that no configured key signed. They count for nothing.
    pub(crate) refused: Vec<String>,
}

impl Messages {
    /// Reads the messages. `request` is the request if it was read before.
    pub(crate) async fn read(
        exchange: &dyn Exchange,
        keys: &RequestKeys,
        recipient: &RecipientName,
        id: &RequestId,
        request: Option<Stored>,
    ) -> exchange::Result<Self> {
        // The last step first, so that every step before a seen one is seen too.
        let confirm = exchange.confirmation(recipient, id).await?;
        let progress = exchange.progress(recipient, id).await?;
        let (read, reply) = exchange.request_status(recipient, id).await?;
        let cancel = exchange.cancellation(recipient, id).await?;
        let mut opener = Opener {
            is_verified: true,
            refused: Vec::new(),
        };
        Ok(Self {
            recipient: recipient.clone(),
            id: id.clone(),
            request: opener.open(request.or(read), &keys.recipient),
            cancel: opener.open(cancel, &keys.recipient),
            progress: opener.open(progress, &keys.bureau),
            reply: opener.open(reply, &keys.bureau),
            confirm: opener.open(confirm, &keys.recipient),
            is_verified: opener.is_verified,
            refused: opener.refused,
        })
    }

    /// Returns whether nothing of it can change any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.reply.is_some() && self.confirm.is_some() && self.refused.is_empty()
    }

    /// Returns its status as `slacktide request show` computes it; `None` without any message.
    pub(crate) fn status(&self, now: Timestamp) -> Option<Status> {
        let known = RequestMessages {
            filed_at: None,
            request: self.request.as_ref().map(Opened::borrow),
            cancel: self.cancel.as_ref().map(Opened::borrow),
            progress: self.progress.as_ref().map(Opened::borrow),
            reply: self.reply.as_ref().map(Opened::borrow),
            confirm: self.confirm.as_ref().map(Opened::borrow),
        };
        status::compute(&known, now)
    }
}

struct Opener {
    is_verified: bool,
    refused: Vec<String>,
}

impl Opener {
    fn open<P: Payload>(&mut self, stored: Option<Stored>, keys: &[PublicKey]) -> Option<Opened<P>> {
        let stored = stored?;
        match open(&stored.bytes, keys) {
            Ok((message, digest)) => {
                self.is_verified &= !keys.is_empty();
                Some(Opened {
                    message,
                    digest,
                    stored_at: stored.stored_at,
                })
            }
            Err(error) => {
                self.refused.push(format!("{}: {error}", stored.subject));
                None
            }
        }
    }
}

/// PURE: opens a message. Without a key it is read and not verified.
pub(crate) fn open<P: Payload>(bytes: &Bytes, keys: &[PublicKey]) -> Result<(P, Digest), EnvelopeError> {
    let envelope = Envelope::decode(bytes)?;
    let payload = if keys.is_empty() {
        envelope.read()?
    } else {
        envelope.verify(keys)?
    };
    Ok((payload, envelope.digest()))
}
