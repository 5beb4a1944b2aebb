//! A download of an answer's rows, part by part.

use std::sync::Arc;

use bytes::Bytes;
use exchange::Exchange;
use schemas::digest::Digest;
use schemas::encryption::DecryptionKeys;
use schemas::part::VerifiedPart;
use schemas::reply::{Outcome, Reply};
use serde_json::json;

use crate::rows::digest::SentDigest;
use crate::rows::format::Format;

/// Why an answer cannot be returned as rows.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The exchange failed.
    #[error("{0}")]
    Exchange(exchange::Error),
    /// A part is encrypted to the recipient.
    #[error("the answer is encrypted to the recipient")]
    Encrypted,
    /// Parts and reply contradict each other.
    #[error("{0}")]
    Invalid(String),
}

/// A running download. An error cuts the body off: it then has no end.
pub(crate) struct AnswerDownload {
    exchange: Arc<dyn Exchange>,
    reply: Reply,
    format: Format,
    /// Text that is not sent yet.
    pending: Option<String>,
    /// The number of the next part, from 1.
    number: u32,
    digest: SentDigest,
    rows: u64,
    is_ended: bool,
}

impl AnswerDownload {
    /// Reads the first part.
    ///
    /// # Errors
    /// [`AnswerError`] if it cannot be returned as rows.
    pub(crate) async fn begin(
        exchange: Arc<dyn Exchange>,
        reply: Reply,
        format: Format,
    ) -> Result<Self, AnswerError> {
        let mut download = Self {
            exchange,
            reply,
            format,
            pending: None,
            number: 1,
            digest: SentDigest::default(),
            rows: 0,
            is_ended: false,
        };
        let first = download.read().await?;
        let schema = first.as_ref().map(|opened| &opened.manifest.content.schema);
        let mut text = String::new();
        format.answer_header(schema, &download.head(schema), &mut text);
        if let Some(opened) = &first {
            download.write(opened, &mut text)?;
        }
        download.pending = Some(text);
        Ok(download)
    }

    /// Returns the next part of the body, or `None` after the end.
    pub(crate) async fn step(&mut self) -> Option<Result<Bytes, AnswerError>> {
        if self.is_ended {
            return None;
        }
        let text = match self.pending.take() {
            Some(text) => Ok(Some(text)),
            None => self.next_text().await,
        };
        match text {
            Ok(Some(text)) => {
                self.digest.update(text.as_bytes());
                Some(Ok(Bytes::from(text)))
            }
            Ok(None) => {
                self.is_ended = true;
                Some(self.end())
            }
            Err(error) => {
                self.is_ended = true;
                Some(Err(error))
            }
        }
    }

    async fn next_text(&mut self) -> Result<Option<String>, AnswerError> {
        let Some(opened) = self.read().await? else {
            return Ok(None);
        };
        let mut text = String::new();
        self.write(&opened, &mut text)?;
        Ok(Some(text))
    }

    /// Reads the next part, or returns `None` after the last.
    async fn read(&mut self) -> Result<Option<VerifiedPart>, AnswerError> {
        let (reply, number) = (&self.reply, self.number);
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let Some(digest) = reply.outcome.parts().get(index) else {
            return Ok(None);
        };
        let attempt = reply.attempt.unwrap_or_default();
        let stored = self
            .exchange
            .part(&reply.recipient, &reply.id, attempt, number)
            .await
            .map_err(AnswerError::Exchange)?;
        let invalid = |what: &str| AnswerError::Invalid(format!("part {number} of {} {what}", reply.id));
        let stored = stored.ok_or_else(|| invalid("is missing"))?;
        let opened = open(&stored.bytes, digest, &invalid)?;
        self.number += 1;
        Ok(Some(opened))
    }

    fn write(&mut self, opened: &VerifiedPart, out: &mut String) -> Result<(), AnswerError> {
        let schema = &opened.manifest.content.schema;
        let mut reader = opened.rows();
        let mut row = Vec::new();
        loop {
            match reader.next_into(&mut row) {
                Ok(true) => {
                    self.format.answer_row(schema, self.rows == 0, &row, out);
                    self.rows += 1;
                }
                Ok(false) => return Ok(()),
                Err(error) => return Err(AnswerError::Invalid(error.to_string())),
            }
        }
    }

    /// The fields of the JSON object before the rows.
    fn head(&self, schema: Option<&schemas::column::RowSchema>) -> serde_json::Value {
        let reply = &self.reply;
        let columns: Vec<&str> = schema
            .into_iter()
            .flat_map(|schema| &schema.columns)
            .map(|column| column.name.as_str())
            .collect();
        json!({
            "id": reply.id,
            "outcome": reply.outcome.name(),
            "reason": reason(&reply.outcome),
            "read_from": reply.read_from,
            "read_to": reply.read_to,
            "withheld": reply.withheld,
            "row_count": reply.outcome.rows(),
            "columns": columns,
        })
    }

    fn end(&self) -> Result<Bytes, AnswerError> {
        let outcome = &self.reply.outcome;
        if self.rows != outcome.rows() {
            let what = format!(
                "the reply counts {} rows, the parts have {}",
                outcome.rows(),
                self.rows
            );
            return Err(AnswerError::Invalid(what));
        }
        let mut text = String::new();
        let digest = self.digest.text();
        self.format
            .answer_end(self.rows, &digest, outcome.name(), reason(outcome), &mut text);
        Ok(Bytes::from(text))
    }
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Partial { reason, .. } => Some(reason),
        _ => None,
    }
}

/// PURE: opens a part that has this digest.
fn open(
    bytes: &[u8],
    digest: &Digest,
    invalid: &impl Fn(&str) -> AnswerError,
) -> Result<VerifiedPart, AnswerError> {
    match VerifiedPart::read(bytes, &DecryptionKeys::default()) {
        Ok(part) if part.digest == *digest => Ok(part),
        Ok(_) => Err(invalid("has another digest than the reply names")),
        Err(error) if error.missing_key().is_some() => Err(AnswerError::Encrypted),
        Err(error) => Err(invalid(&format!("cannot be read: {error}"))),
    }
}
