//! PostgreSQL as a system of record.
//!
//! One session serves all feeds: a system of record is asked one thing at a time. Every statement
//! is its own transaction, read-only, under timeouts; there is never a BEGIN, so nothing is open
//! while the gate is shut. A revoked permit sends a cancel request at once; a session that has
//! not come back within the yield bound is dropped.
//!
//! - `config` where and how
//! - `session` the one connection: statements raced against the permit
//! - `failure` PURE: the server's errors by kind
//! - `catalogue` what the catalogue says of a feed's columns and tables
//! - `check` whether a feed can be served, before anything is read; `comparison` whether a question's times are compared in
//!   the terms of the columns; `collation`, `key_type` which keys are refused for theirs; `index` what proves and serves an order
//! - `hidden` rows that the account does not see
//! - `order` the first cursor column against the source's clock, `key` whether the key is unique
//! - `reach` what the SQL reads behind names, `sequence` what fills a cursor, `zone` local times
//! - `upkeep` what is checked again while a feed is served
//! - `activity` which transactions are open, for the fence; `source_mark` which database this is; both asked for all feeds
//!   together. `guard` compares clock and content with where lanes stand
//! - `cell` values off the wire without copies
//! - `reader` one feed, `question` one question, `question_order` what it is read by; `quantum` their statement;
//!   `delivery` its rows on their way to the sink
//! - `probe` what the gate asks while it is shut, on a session of its own
//! - `grants` what the account needs, to the letter; `security` what protects a connection

mod activity;
mod catalogue;
mod cell;
mod check;
mod collation;
mod comparison;
mod config;
mod delivery;
mod failure;
mod grants;
mod guard;
mod hidden;
mod index;
mod key;
mod key_type;
mod order;
mod probe;
mod quantum;
mod question;
mod question_order;
mod reach;
mod reader;
mod security;
mod sequence;
mod session;
mod source_mark;
mod upkeep;
mod zone;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
pub use config::PostgresConfig;
use gate::permit::Permit;
use gate::shut::ShutFlag;
pub use grants::grants;
pub use probe::{OwnStatements, probes};
use schemas::name::FeedName;
pub use security::security;

use crate::count::DriverCounter;
use crate::error::Result;
use crate::feed::FeedDefinition;
use crate::key_proof::Proofs;
use crate::port::{DriverCount, FeedReader, QuestionReader, Source};
use crate::question::Question;
use session::Session;

/// A PostgreSQL database, connected to at first use and again after a loss.
#[derive(Debug)]
pub struct PostgresSource {
    session: Arc<Session>,
    questions: Arc<question::Known>,
    proofs: Arc<Proofs<String>>,
    counter: Arc<DriverCounter>,
    /// By feed.
    clocks: Mutex<BTreeMap<FeedName, Arc<guard::Clock>>>,
}

impl PostgresSource {
    /// Over a configuration. Opens nothing yet. The flag is the gate's, for the driver's count.
    ///
    /// # Errors
    /// `Refused` when the URL cannot be read; the URL is not repeated, for it may hold a password.
    pub fn new(config: PostgresConfig, shut: ShutFlag) -> Result<Self> {
        let counter = Arc::new(DriverCounter::new(shut));
        let session = Arc::new(Session::new(config, Arc::clone(&counter))?);
        Ok(Self {
            session,
            questions: Arc::default(),
            proofs: Arc::default(),
            counter,
            clocks: Mutex::default(),
        })
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> Result<Box<dyn FeedReader>> {
        let place = format!("feed {}", feed.name);
        let opened = check::feed(&self.session, feed, permit, self.proofs.find(feed))
            .await
            .map_err(|error| error.at(&place))?;
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let clock = clocks
            .entry(feed.name.clone())
            .or_insert_with(|| Arc::new(guard::Clock::new(feed.lag)));
        let (session, proofs) = (Arc::clone(&self.session), Arc::clone(&self.proofs));
        Ok(Box::new(reader::PostgresReader::new(
            session,
            proofs,
            feed,
            opened,
            Arc::clone(clock),
        )))
    }

    async fn open_question(&self, question: &Question, permit: &Permit) -> Result<Box<dyn QuestionReader>> {
        let opened = question::open(&self.session, &self.questions, question, permit).await?;
        Ok(Box::new(opened))
    }

    fn own_backends(&self) -> Vec<u32> {
        self.session.own_backends()
    }

    fn counted(&self) -> DriverCount {
        self.counter.counted()
    }

    async fn close(&self) {
        self.session.close().await;
    }
}
