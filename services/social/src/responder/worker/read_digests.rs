//! Reads one quantum of a pass that reconciles a feed.

use std::time::Duration;

use disclosure::mask::plan::Plan;
use disclosure::row_filter::RowFilter;
use exchange::FeedExchange;
use gate::Permit;
use jiff::Timestamp;
use reconciliation::PassRequest;
use requests::argument::Bound;
use requests::kind::{Kind, ReconciledFeed};
use schemas::name::Lane;
use source::{End, Quantum, RequestQuery};

use super::super::answer::{Answer, AnswerRows, OpenQuery};
use super::super::answer_batcher::AnswerBatcher;
use super::super::core_digests::{CoreDigests, DigestSink, LaneTail};
use super::query::{QueryError, token};
use super::read::QuantumTask;
use super::repair;
use crate::mask::unmasked_money;
use crate::quantum::QuantumStats;
use crate::step::Event;
use crate::tail::{self, TailContext, Trust};

impl QuantumTask {
    /// Reads rows in the order of the feed's key; after the last one the digests become the answer's rows.
    pub(super) async fn read_digests(
        &self,
        answer: &mut Answer,
        kind: &Kind,
        feed: &ReconciledFeed,
    ) -> Result<Quantum, QueryError> {
        let (parts, rules, permit): (_, _, &Permit) = (&self.parts, &self.rules, &self.permit);
        let recipient = answer.request_ref.key.recipient.clone();
        let is_stale = |digests: &CoreDigests| digests.screened_by != rules.version;
        if answer.digests.as_deref().is_some_and(is_stale) {
            // Rows were withheld by earlier rules.
            (answer.digests, answer.repair) = (None, None);
        }
        let masks = kind.grant_of(&recipient).map(|grant| &grant.masks);
        let masks = masks.ok_or_else(|| QueryError::Kind("the feed is no longer sent".to_owned()))?;
        if answer.query.is_none() {
            let reader = parts
                .source
                .open_request_query(&feed_query(kind, feed), permit)
                .await?;
            let plan = Plan::new(reader.schema(), None, masks, &[])
                .map_err(|error| QueryError::Kind(error.to_string()))?;
            answer.query = Some(OpenQuery { reader, plan });
        }
        if answer.digests.is_none() {
            let lane = Lane {
                recipient: recipient.clone(),
                feed: feed.name.clone(),
            };
            let request = pass_request(&self.allowed.bound)?;
            // From now on chunks of the lane with its keys are noticed.
            let ticket = (!request.repair.is_empty()).then(|| repair::begin(parts, &lane, &request));
            let ticket = ticket.transpose()?;
            // Before the first row is read: what follows it is late.
            let (tail, context) = self.tail(&lane).await?;
            let Some(open) = &answer.query else {
                return Err(QueryError::Kind("its query is not open".to_owned()));
            };
            let digests = CoreDigests::new(
                feed,
                request,
                tail,
                (open.reader.schema(), open.plan.schema()),
                unmasked_money(masks, &feed.money),
                rules.version,
            )
            .map_err(QueryError::Kind)?;
            answer.repair = match ticket {
                Some(ticket) => Some(repair::open((lane, ticket), context, open.plan.schema())?),
                None => None,
            };
            answer.digests = Some(Box::new(digests));
            let sent = reconciliation::pass::schema(kind.name());
            let definition = answer
                .request_ref
                .definition
                .unwrap_or(answer.request_ref.request);
            let batcher = AnswerBatcher::new(&sent, &sent, &[], &[], definition)
                .map_err(|error| QueryError::Kind(error.to_string()))?;
            answer.batch = Some(AnswerRows {
                batcher,
                columns: sent,
                screened_by: rules.version,
            });
        }
        let token = token(parts.answering.masking.as_deref(), &recipient, kind)?;
        let (Some(open), Some(digests), Some(batch)) =
            (&mut answer.query, &mut answer.digests, &mut answer.batch)
        else {
            return Err(QueryError::Kind("its query is not open".to_owned()));
        };
        let blocked = rules
            .blocked()
            .map_err(|error| QueryError::Kind(error.to_string()))?;
        let schema = open.reader.schema().clone();
        let held = self.allowed.held_persons.clone();
        let row_filter = RowFilter::new(&schema, &kind.config().person, blocked, held)
            .map_err(|error| QueryError::Kind(error.to_string()))?;
        let limit = parts.sizing.within(answer.limit, permit.quantum());
        batch.batcher.begin_quantum(Timestamp::now(), u64::MAX);
        digests.begin_quantum(Timestamp::now());
        let after = digests.after().cloned();
        let mut sink = DigestSink {
            digests,
            plan: &open.plan,
            token: &token,
            row_filter: &row_filter,
        };
        let quantum = open.reader.read(after.as_ref(), limit, permit, &mut sink).await?;
        digests.end_quantum(millis(quantum.took));
        if let Some(fault) = digests.fault() {
            return Err(QueryError::Kind(fault.clone()));
        }
        if quantum.end != End::Revoked {
            answer.limit = parts.sizing.next(QuantumStats {
                limit: answer.limit,
                requested: limit,
                rows: quantum.rows,
                bytes: 0,
                time: quantum.took,
            });
        }
        if quantum.end == End::Drained && digests.is_repair() {
            repair::identify(answer, permit).await?;
        } else if quantum.end == End::Drained {
            digests.write_to(&mut batch.batcher);
        }
        Ok(quantum)
    }

    /// Returns the last chunk of a lane.
    async fn tail(&self, lane: &Lane) -> Result<(LaneTail, TailContext), QueryError> {
        let parts = &self.parts;
        let mut chunks = parts.trusted.clone();
        chunks.push(parts.key.public().clone());
        let trust = Trust {
            chunks,
            receipts: Vec::new(),
            here: parts.origin.clone(),
        };
        let exchange: &dyn FeedExchange = &*parts.exchange;
        let (event, context) = tail::read(exchange, lane, &trust, &parts.encryption.own).await;
        match event {
            Event::TailRead { tail: Some(tail), .. } => {
                let tail = LaneTail {
                    epoch: tail.link.epoch,
                    number: tail.link.number,
                    position: tail.cursor,
                };
                Ok((tail, context))
            }
            Event::TailRead { tail: None, .. } => Ok((LaneTail::default(), context)),
            Event::Failed(_, what) | Event::TailUnreadable(what) => {
                Err(QueryError::Kind(format!("lane {lane} cannot be read: {what}")))
            }
            _ => Err(QueryError::Kind(format!("lane {lane} cannot be read"))),
        }
    }
}

/// Returns the query of the feed's rows in the order of its key.
fn feed_query(kind: &Kind, feed: &ReconciledFeed) -> RequestQuery {
    RequestQuery {
        name: kind.name().to_owned(),
        sql: feed.sql.clone(),
        arguments: Vec::new(),
        order: feed.key.clone(),
        money: feed.money.clone(),
        types: feed.types.clone(),
        zone: None,
    }
}

/// Reads the request's arguments, in the order of the kind's.
fn pass_request(bound: &[Bound]) -> Result<PassRequest, QueryError> {
    let text = |bound: Option<&Bound>| match bound {
        Some(Bound::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let salt = text(bound.first()).unwrap_or_default();
    let buckets = match bound.get(1) {
        Some(Bound::Integer(buckets)) => *buckets,
        _ => 0,
    };
    let (only, keys, repair) = (text(bound.get(2)), text(bound.get(3)), text(bound.get(4)));
    PassRequest::parse(&salt, buckets, only.as_deref(), keys.as_deref())
        .and_then(|request| request.with_repair(repair.as_deref()))
        .map_err(|error| QueryError::Kind(error.to_string()))
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
