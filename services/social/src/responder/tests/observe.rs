//! Reads the streams of a fixture and verifies them like a recipient.

use exchange::port::Stream;
use schemas::encryption::DecryptionKeys;
use schemas::envelope::Envelope;
use schemas::part::VerifiedPart;
use schemas::progress::{Progress, Waiting};
use schemas::reply::Reply;
use schemas::request::Request;

use super::fixture::{Fixture, signed, until};

impl Fixture {
    /// Returns the outcome of a request, if there is one.
    pub(super) fn reply(&self, request: &Request) -> Option<Reply> {
        let subject = format!("reply.{}.{}", request.recipient, request.id);
        let kept = self.exchange.stored_messages(Stream::Replies);
        let own: Vec<_> = kept.iter().filter(|stored| stored.subject == subject).collect();
        assert!(own.len() <= 1, "one permanent outcome");
        let envelope = Envelope::decode(&own.first()?.bytes).unwrap();
        let reply: Reply = envelope.verify(&[self.bureau.public().clone()]).unwrap();
        assert_eq!(reply.request, signed(request, &self.insurer).1);
        Some(reply)
    }

    /// Waits for the outcome of all of these.
    pub(super) async fn outcomes(&self, requests: &[Request]) -> Vec<Reply> {
        until(|| requests.iter().all(|request| self.has_reply(request))).await;
        requests
            .iter()
            .map(|request| self.reply(request).unwrap())
            .collect()
    }

    pub(super) async fn outcome(&self, request: &Request) -> Reply {
        self.outcomes(std::slice::from_ref(request)).await.remove(0)
    }

    fn has_reply(&self, request: &Request) -> bool {
        self.reply(request).is_some()
    }

    /// Returns all stored parts of a request, including those of other attempts.
    pub(super) fn parts(&self, request: &Request) -> Vec<VerifiedPart> {
        let prefix = format!("part.{}.{}.", request.recipient, request.id);
        let kept = self.exchange.stored_messages(Stream::Parts);
        kept.iter()
            .filter(|stored| stored.subject.starts_with(&prefix))
            .map(|stored| {
                let opened = VerifiedPart::open(
                    &stored.bytes,
                    &[self.bureau.public().clone()],
                    &DecryptionKeys::default(),
                )
                .unwrap();
                assert_eq!(stored.subject, opened.manifest.subject().to_string());
                opened
            })
            .collect()
    }

    /// Returns the first column of the answer's rows. Every named part must exist.
    pub(super) fn ids(&self, request: &Request, reply: &Reply) -> Vec<i64> {
        let parts = self.parts(request);
        let mut ids = Vec::new();
        for digest in reply.outcome.parts() {
            let named =
                |part: &&VerifiedPart| part.digest == *digest && Some(part.manifest.attempt) == reply.attempt;
            let part = parts.iter().find(named).expect("every named part exists");
            let (mut reader, mut row) = (part.rows(), Vec::new());
            while reader.next_into(&mut row).unwrap() {
                let schemas::value::Value::Int(id) = row[0] else {
                    panic!("{row:?}")
                };
                ids.push(id);
            }
        }
        assert_eq!(ids.len() as u64, reply.outcome.rows(), "{reply:?}");
        ids
    }

    /// Returns the last published progress state.
    pub(super) fn last_state(&self, request: &Request) -> Option<Waiting> {
        let subject = format!("progress.{}.{}", request.recipient, request.id);
        let kept = self.exchange.stored_messages(Stream::Progress);
        let stored = kept.into_iter().find(|stored| stored.subject == subject)?;
        let envelope = Envelope::decode(&stored.bytes).unwrap();
        Some(
            envelope
                .verify::<Progress>(&[self.bureau.public().clone()])
                .unwrap()
                .state,
        )
    }
}
