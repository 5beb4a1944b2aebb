//! A sequence of messages in one body, with a mandatory end record.
//!
//! Each record is one MessagePack map with one entry: `{"message": …}` or, last, `{"end": …}`. A body without the end record was
//! cut off and is an error; bytes after it are one too.

use bytes::Bytes;
use exchange::{Delivery, Stored, TraceParent};
use jiff::Timestamp;
use schemas::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// One record of the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A message.
    Message(Message),
    /// The last record.
    End(End),
}

/// A message of the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the exchange stored it.
    pub stored_at: Timestamp,
    /// Number of deliveries, including this one; only in deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Needed to settle a delivery; only in deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The digest that the next message of its chain names; only in reads of a feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The W3C trace context with which it was published. Not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The envelope as published.
    pub bytes: ByteBuf,
}

/// The end record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of messages before it.
    pub messages: u64,
    /// The cursor to continue with, in reads of a feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An invalid body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not the records of this module.
    #[error("record {number} of the body cannot be read: {cause}")]
    Record {
        /// Counted from 1.
        number: u64,
        /// The decoder's error.
        cause: String,
    },
    /// The end record is missing.
    #[error("the body was cut off after {messages} messages: its end record is missing")]
    CutOff {
        /// The messages that were read.
        messages: u64,
    },
    /// The end record counts other messages.
    #[error("the end record counts {expected} messages, the body has {messages}")]
    Count {
        /// By the end record.
        expected: u64,
        /// The messages that were read.
        messages: u64,
    },
    /// Bytes after the end record.
    #[error("the body continues after its end record")]
    Trailing,
}

impl From<Stored> for Message {
    fn from(stored: Stored) -> Self {
        Self {
            subject: stored.subject,
            sequence: stored.sequence,
            stored_at: stored.stored_at,
            attempt: None,
            token: None,
            digest: None,
            traceparent: stored.trace.map(|trace| trace.to_string()),
            bytes: ByteBuf::from(Vec::from(stored.bytes)),
        }
    }
}

impl From<Delivery> for Message {
    fn from(delivery: Delivery) -> Self {
        Self {
            subject: delivery.subject,
            sequence: delivery.sequence,
            stored_at: delivery.stored_at,
            attempt: Some(delivery.attempt),
            token: Some(delivery.token),
            digest: None,
            traceparent: delivery.trace.map(|trace| trace.to_string()),
            bytes: ByteBuf::from(Vec::from(delivery.bytes)),
        }
    }
}

impl Message {
    /// Returns it as a stored message.
    #[must_use]
    pub fn into_stored(self) -> Stored {
        Stored {
            subject: self.subject,
            sequence: self.sequence,
            stored_at: self.stored_at,
            trace: self.traceparent.as_deref().and_then(TraceParent::parse),
            bytes: Bytes::from(self.bytes.into_vec()),
        }
    }

    /// Returns it as a delivery, or `None` if it has no token.
    #[must_use]
    pub fn into_delivery(self) -> Option<Delivery> {
        Some(Delivery {
            token: self.token?,
            attempt: self.attempt.unwrap_or(1),
            subject: self.subject,
            sequence: self.sequence,
            stored_at: self.stored_at,
            trace: self.traceparent.as_deref().and_then(TraceParent::parse),
            bytes: Bytes::from(self.bytes.into_vec()),
        })
    }
}

/// Encodes a record.
///
/// # Errors
/// When the encoder refuses it.
pub fn encode(record: &Record) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(record)
}

/// Encodes messages and the end record.
///
/// # Errors
/// When the encoder refuses one.
pub fn encode_all(messages: Vec<Message>, next: Option<String>) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let size: usize = messages.iter().map(|message| message.bytes.len() + 256).sum();
    let (count, mut body) = (messages.len() as u64, Vec::with_capacity(size));
    for message in messages {
        rmp_serde::encode::write_named(&mut body, &Record::Message(message))?;
    }
    rmp_serde::encode::write_named(
        &mut body,
        &Record::End(End {
            messages: count,
            next,
        }),
    )?;
    Ok(body)
}

/// Decodes a whole body.
///
/// # Errors
/// [`BodyError`] when it is malformed or was cut off.
pub fn decode_all(body: &[u8]) -> Result<(Vec<Message>, End), BodyError> {
    let mut rest = body;
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let number = messages.len() as u64;
        // Reading advances `rest` past the record.
        let record: Record = match rmp_serde::from_read(&mut rest) {
            Ok(record) => record,
            Err(error) if is_end_of_input(&error) => return Err(BodyError::CutOff { messages: number }),
            Err(error) => {
                return Err(BodyError::Record {
                    number: number + 1,
                    cause: error.to_string(),
                });
            }
        };
        match record {
            Record::Message(message) => messages.push(message),
            Record::End(_) if !rest.is_empty() => return Err(BodyError::Trailing),
            Record::End(end) if end.messages != number => {
                return Err(BodyError::Count {
                    expected: end.messages,
                    messages: number,
                });
            }
            Record::End(end) => return Ok((messages, end)),
        }
    }
    Err(BodyError::CutOff {
        messages: messages.len() as u64,
    })
}

fn is_end_of_input(error: &rmp_serde::decode::Error) -> bool {
    use rmp_serde::decode::Error;
    match error {
        Error::InvalidMarkerRead(cause) | Error::InvalidDataRead(cause) => {
            cause.kind() == std::io::ErrorKind::UnexpectedEof
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64) -> Message {
        Message {
            subject: "data.insurer-a.claims".to_owned(),
            sequence,
            stored_at: Timestamp::UNIX_EPOCH,
            attempt: Some(2),
            token: Some("$JS.ACK.x".to_owned()),
            digest: Some(Digest::of(&[b"chunk"])),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
            bytes: ByteBuf::from(vec![0xc1; 300]),
        }
    }

    #[test]
    fn body_is_read_back() {
        let body = encode_all(vec![message(1), message(2)], Some("next".to_owned())).unwrap();
        let (messages, end) = decode_all(&body).unwrap();
        assert_eq!(messages, [message(1), message(2)]);
        assert_eq!(end.next.as_deref(), Some("next"));
        assert_eq!(
            decode_all(&encode_all(Vec::new(), None).unwrap())
                .unwrap()
                .1
                .messages,
            0
        );
    }

    #[test]
    fn body_cut_off_anywhere_is_an_error() {
        let body = encode_all(vec![message(1), message(2)], None).unwrap();
        for length in 0..body.len() {
            assert!(decode_all(&body[..length]).is_err(), "{length} bytes");
        }
        let mut longer = body.clone();
        longer.push(0xc0);
        assert_eq!(decode_all(&longer), Err(BodyError::Trailing));
    }

    #[test]
    fn body_with_a_missing_message_is_an_error() {
        let mut body = encode(&Record::Message(message(1))).unwrap();
        body.extend(
            encode(&Record::End(End {
                messages: 2,
                next: None,
            }))
            .unwrap(),
        );
        let counted = BodyError::Count {
            expected: 2,
            messages: 1,
        };
        assert_eq!(decode_all(&body), Err(counted));
    }
}
