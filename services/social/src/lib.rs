//! The social agent: publishes only while the core has slack.
//!
//! Modules marked PURE decide; the others act:
//!
//! - one lane: [`step`] PURE decides, with [`stop`] reasons and [`definition_diff`] PURE for changed definitions; [`lane`] acts,
//!   reads the exchange with [`tail`] and makes chunks with [`signed_chunk`]
//! - one feed: [`chunker`], [`quantum`], [`group`] and [`idle`] PURE decide; [`publisher`] acts, through [`lane::LaneHandle`]s
//! - data requests: [`responder`] answers them; [`repair`] PURE collects rows that are sent again; [`gate_queue`] shares the gate between requests and feeds
//! - the source: [`lease`] PURE, [`lease_keeper`] acts; [`source_verdict`] PURE detects another source
//! - rows: [`row_batcher`] PURE fills blocks, [`row_batch`] PURE makes messages of them, for feeds and answers
//! - what recipients see of rows: [`mask`] PURE; [`blocklist`] keeps the list of persons about whom nothing is sent
//! - operators: [`epoch`] restarts a stopped lane; [`order`] issues orders, [`control`] obeys them, [`hold`] publishes holds;
//!   [`audit_log`] appends to audit chains; [`control_head`] finds the record that a new one follows; [`record_tracker`],
//!   [`record_reference`] and [`high_water_file`] detect orders that were restored from an older copy; [`notice`] reports to
//!   each recipient, in its [`notice_chain`], why its lanes are stopped
//! - composition: [`mod@run`], [`options`]; [`conditions`] are what tasks decide by, [`status`] is what is shown; [`retry`] is the back-off

pub mod audit_log;
pub mod blocklist;
pub mod chunker;
pub mod conditions;
pub mod control;
pub mod control_head;
pub mod definition_diff;
pub mod epoch;
pub mod gate_queue;
pub mod group;
pub mod high_water_file;
pub mod hold;
pub mod idle;
pub mod lane;
pub mod lease;
pub mod lease_keeper;
pub mod mask;
pub mod notice;
pub mod notice_chain;
pub mod options;
pub mod order;
pub mod publisher;
pub mod quantum;
pub mod record_reference;
pub mod record_tracker;
pub mod repair;
pub mod responder;
pub mod retry;
pub mod row_batch;
pub mod row_batcher;
pub mod run;
pub mod signed_chunk;
pub mod source_verdict;
pub mod status;
pub mod step;
pub mod stop;
pub mod tail;

pub use options::{PublisherOptions, SocialOptions};
pub use responder::{AnswerConfig, AnswerOptions};
pub use run::{FeedPlan, HoldConfig, Social, SocialError, SocialParts, SocialView, new_instance, run};
pub use status::SocialStatus;
