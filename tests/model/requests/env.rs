//! The faults and protections of the simulation of requests. Each protection can be disabled, to show that the oracle detects what
//! it prevents.

/// Enabled faults and protections.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestEnv {
    /// A recipient has a quota of rows. One process runs at a time, because two may exceed a quota together.
    pub(super) quotas: bool,
    /// A subject holds one message permanently.
    pub(super) one_message: bool,
    /// A stored message with other bytes is not taken for the own one.
    pub(super) compares_bytes: bool,
    /// A message without an acknowledgement is stored again.
    pub(super) retries_unconfirmed: bool,
    /// A retry stores the same bytes.
    pub(super) keeps_bytes: bool,
    /// The next message follows the acknowledgement of the one before it.
    pub(super) awaits_acknowledgements: bool,
    /// The rules are evaluated with the permit.
    pub(super) decides_with_permit: bool,
    /// A poll reads the outcomes.
    pub(super) reads_replies: bool,
    /// An answer is not stored after its deadline.
    pub(super) checks_deadline: bool,
    /// Rows of running answers count against the quota.
    pub(super) counts_running_rows: bool,
    /// The end of a back-off wakes its request.
    pub(super) wakes_backoffs: bool,
    /// A request is decided about again at its deadline and at the end of the officers' time.
    pub(super) rechecks: bool,
}

impl RequestEnv {
    pub(super) const ALL_PROTECTIONS: Self = Self {
        quotas: false,
        one_message: true,
        compares_bytes: true,
        retries_unconfirmed: true,
        keeps_bytes: true,
        awaits_acknowledgements: true,
        decides_with_permit: true,
        reads_replies: true,
        checks_deadline: true,
        counts_running_rows: true,
        wakes_backoffs: true,
        rechecks: true,
    };
}
