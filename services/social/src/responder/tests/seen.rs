//! What anybody may see of a scene: the streams, verified as a recipient would.

use exchange::port::Stream;
use requests::attempt::{self, Seen};
use schemas::envelope::Envelope;
use schemas::part::{self, OpenedPart};
use schemas::progress::{Progress, Waiting};
use schemas::reply::Reply;
use schemas::request::Request;
use schemas::seal::SealRing;

use super::scene::{Scene, sealed, until};

impl Scene {
    /// Its outcome, if there is one.
    pub(super) fn reply(&self, request: &Request) -> Option<Reply> {
        let subject = format!("reply.{}.{}", request.recipient, request.id);
        let kept = self.exchange.kept(Stream::Replies);
        let own: Vec<_> = kept.iter().filter(|stored| stored.subject == subject).collect();
        assert!(own.len() <= 1, "one outcome for ever");
        let envelope = Envelope::decode(&own.first()?.bytes).unwrap();
        let reply: Reply = envelope.verify(&[self.bureau.public().clone()]).unwrap();
        assert_eq!(reply.request, sealed(request, &self.insurer).1);
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

    /// All parts that were stored for it, whether they count or not.
    pub(super) fn parts(&self, request: &Request) -> Vec<OpenedPart> {
        let prefix = format!("part.{}.{}.", request.recipient, request.id);
        let kept = self.exchange.kept(Stream::Parts);
        kept.iter()
            .filter(|stored| stored.subject.starts_with(&prefix))
            .map(|stored| {
                let opened = part::open(
                    &stored.bytes,
                    &[self.bureau.public().clone()],
                    &SealRing::default(),
                )
                .unwrap();
                assert_eq!(stored.subject, opened.part.subject().to_string());
                opened
            })
            .collect()
    }

    /// The first column of the rows that are its answer; every named part has to be there.
    pub(super) fn ids(&self, request: &Request, reply: &Reply) -> Vec<i64> {
        let parts = self.parts(request);
        let seen: Vec<Seen<'_>> = parts
            .iter()
            .map(|opened| Seen {
                attempt: opened.part.attempt,
                number: opened.part.number,
                digest: opened.digest,
                rows: opened.part.totals.rows,
                instance: &opened.part.instance,
            })
            .collect();
        let weighed = attempt::weigh(reply, &seen);
        assert!(weighed.whole, "{weighed:?}");
        let mut ids = Vec::new();
        for place in weighed.counts {
            let (mut reader, mut row) = (parts[place].rows(), Vec::new());
            while reader.next_into(&mut row).unwrap() {
                let schemas::value::Value::Int(id) = row[0] else {
                    panic!("{row:?}")
                };
                ids.push(id);
            }
        }
        ids
    }

    /// What was told of it last.
    pub(super) fn told(&self, request: &Request) -> Option<Waiting> {
        let subject = format!("progress.{}.{}", request.recipient, request.id);
        let kept = self.exchange.kept(Stream::Progress);
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
