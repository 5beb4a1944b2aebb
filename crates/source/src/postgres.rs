//! PostgreSQL as a system of record.
//!
//! One session serves all feeds, one statement at a time. Every statement is its own read-only transaction with timeouts. There is
//! never a BEGIN, so no transaction is open while the gate is closed. A revoked permit sends a cancel request at once. A session
//! that does not respond within the yield bound is dropped.
//!
//! - `config` the settings of the connection
//! - `session` the connection: statements that end with the permit
//! - `failure` PURE: the server's errors by kind
//! - `catalogue` columns and tables of a feed in the catalogue
//! - `check` whether a feed can be served, a `checked_feed`; `comparison` whether a query's times are compared in the column's type;
//!   `collation`, `key_type` which keys are refused; `index` indexes that prove and serve an order
//! - `hidden` rows that the account does not see
//! - `order` the first cursor column and the source's clock; `key` whether the key is unique
//! - `dependencies` relations behind views; `sequence` what fills a cursor; `zone` local times
//! - `periodic_checks` checks that run while a feed is served
//! - `activity` open transactions, for the fence; `source_mark` the database's identity; both shared by all feeds
//! - `guard` compares the source's clock and content with the lanes' positions
//! - `cell` decodes values; `binary_text` PURE, the texts of values in the binary format
//! - `reader` one feed; `request_query` one query; `query_order` its order; `quantum` their statement; `delivery` their rows
//! - `probe` the gate's signals, on a session of their own
//! - `grants` the privileges that the account needs; `security` what protects a connection

mod activity;
mod binary_text;
mod catalogue;
mod cell;
mod check;
mod checked_feed;
mod collation;
mod comparison;
mod config;
mod delivery;
mod dependencies;
mod failure;
mod grants;
mod guard;
mod hidden;
mod index;
mod key;
mod key_type;
mod order;
mod periodic_checks;
mod probe;
mod quantum;
mod query_order;
mod reader;
mod request_query;
mod security;
mod sequence;
mod session;
mod source_mark;
mod zone;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
pub use config::PostgresConfig;
use gate::closed_flag::ClosedFlag;
use gate::permit::Permit;
pub use grants::grants;
pub use probe::{OwnStatements, probes};
use schemas::name::FeedName;
pub use security::security;

use crate::count::DriverCounter;
use crate::error::Result;
use crate::feed::FeedDefinition;
use crate::key_proof::Proofs;
use crate::port::{DriverCounts, FeedReader, RequestQueryReader, Source};
use crate::request_query::RequestQuery;
use session::Session;

/// A PostgreSQL database. Connects at first use and again after a loss.
#[derive(Debug)]
pub struct PostgresSource {
    session: Arc<Session>,
    query_cache: Arc<request_query::QueryCache>,
    proofs: Arc<Proofs<String>>,
    counter: Arc<DriverCounter>,
    clocks: Mutex<BTreeMap<FeedName, Arc<guard::FeedClock>>>,
}

impl PostgresSource {
    /// Creates a source without connecting. The flag is the gate's, for the driver's counts.
    ///
    /// # Errors
    /// `Refused` if the URL is invalid. The error omits the URL, which may contain a password.
    pub fn new(config: PostgresConfig, closed: ClosedFlag) -> Result<Self> {
        let counter = Arc::new(DriverCounter::new(closed));
        let session = Arc::new(Session::new(config, Arc::clone(&counter))?);
        Ok(Self {
            session,
            query_cache: Arc::default(),
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
            .or_insert_with(|| Arc::new(guard::FeedClock::new(feed.lag)));
        let (session, proofs) = (Arc::clone(&self.session), Arc::clone(&self.proofs));
        Ok(Box::new(reader::PostgresReader::new(
            session,
            proofs,
            feed,
            opened,
            Arc::clone(clock),
        )))
    }

    async fn open_request_query(
        &self,
        query: &RequestQuery,
        permit: &Permit,
    ) -> Result<Box<dyn RequestQueryReader>> {
        let opened = request_query::open(&self.session, &self.query_cache, query, permit).await?;
        Ok(Box::new(opened))
    }

    fn own_backends(&self) -> Vec<u32> {
        self.session.own_backends()
    }

    fn driver_counts(&self) -> DriverCounts {
        self.counter.counts()
    }

    async fn close(&self) {
        self.session.close().await;
    }
}
