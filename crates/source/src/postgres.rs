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
//! - `check` whether a feed can be served, before anything is read; `collation` which keys are refused for theirs
//! - `activity` the looks behind the fence
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
mod config;
mod delivery;
mod failure;
mod grants;
mod probe;
mod quantum;
mod question;
mod question_order;
mod reader;
mod security;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
pub use config::PostgresConfig;
use gate::permit::Permit;
use gate::shut::ShutFlag;
pub use grants::grants;
pub use probe::{OwnStatements, probes};
pub use security::security;

use crate::count::DriverCounter;
use crate::error::Result;
use crate::feed::FeedDefinition;
use crate::port::{DriverCount, FeedReader, QuestionReader, Source};
use crate::question::Question;
use session::Session;

/// A PostgreSQL database, connected to at first use and again after a loss.
#[derive(Debug)]
pub struct PostgresSource {
    session: Arc<Session>,
    questions: Arc<question::Known>,
    counter: Arc<DriverCounter>,
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
            counter,
        })
    }
}

#[async_trait]
impl Source for PostgresSource {
    async fn open_feed(&self, feed: &FeedDefinition, permit: &Permit) -> Result<Box<dyn FeedReader>> {
        let place = format!("feed {}", feed.name);
        let checked = check::feed(&self.session, feed, permit)
            .await
            .map_err(|error| error.at(&place))?;
        Ok(Box::new(reader::PostgresReader::new(
            Arc::clone(&self.session),
            feed,
            checked,
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
