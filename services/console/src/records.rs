//! What the pages of records keep between requests. All of it is in memory: a restart forgets it, and nothing is lost.
//!
//! - [`growth`] what streams held; [`connection_tests`] results of tests of connections
//! - [`verification`] verifications of the streams, one at a time for each party
//! - [`settled`] requests whose state cannot change any more

pub(crate) mod connection_tests;
pub(crate) mod growth;
pub(crate) mod settled;
pub(crate) mod verification;

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) growth: growth::GrowthSamples,
    pub(crate) tests: connection_tests::ConnectionTests,
    pub(crate) verifications: verification::Verifications,
    pub(crate) requests: settled::SettledRequests,
}
