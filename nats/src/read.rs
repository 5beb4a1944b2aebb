//! Reading many messages in order, without a consumer that anybody could see or change.
//!
//! One question, many answers (a batch direct get). Messages come in the stream's order; a gap,
//! left by retention, is passed over.

use exchange::port::From;
use exchange::{Result, Stored};
use serde_json::json;

use crate::get::stored;
use crate::wire::Wire;

/// The most bytes one batch may bring, so that memory stays flat whatever the messages' size.
/// The server ends the batch early, and the next one goes on; one message always comes.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The most messages one batch may bring: the server's own limit is 1024.
const MOST_MESSAGES: usize = 1000;

impl Wire {
    /// All messages whose subjects match `filter`, oldest first; for filters that match few.
    pub(crate) async fn all(&self, stream: &str, filter: &str) -> Result<Vec<Stored>> {
        let (mut all, mut next) = (Vec::new(), 0);
        loop {
            let page = self
                .batch(stream, From::Sequence(next), filter, MOST_MESSAGES)
                .await?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            next = last.sequence + 1;
            all.extend(page);
        }
    }

    /// Up to `max` messages whose subjects match `filter`, oldest first.
    pub(crate) async fn batch(
        &self,
        stream: &str,
        from: From,
        filter: &str,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let most = max.min(MOST_MESSAGES);
        if most == 0 {
            return Ok(Vec::new());
        }
        let question = self.api(&format!("DIRECT.GET.{stream}"));
        let mut body = json!({"batch": most, "max_bytes": MOST_BYTES, "next_by_subj": filter});
        match from {
            From::Sequence(sequence) => body["seq"] = json!(sequence.max(1)),
            From::Time(time) => body["start_time"] = json!(time.to_string()),
        }
        let answers = self.gather(&question, body.to_string().into(), most).await?;
        let messages = answers.taken(&question, &[204, 404])?;
        messages.into_iter().map(stored).collect()
    }
}
