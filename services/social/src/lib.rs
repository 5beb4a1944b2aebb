//! The social agent: publishes only while the core has slack.
//!
//! What decides is pure; what acts carries it out:
//!
//! - one lane: [`step`] PURE, with [`stop`] why it stands still and [`changed`] what a changed
//!   definition changed; [`lane`] its executor, which
//!   reads the exchange back with [`tail`] and makes chunks with [`seal`]
//! - one feed: [`chunker`], [`quantum`], [`group`] PURE; [`idle`] PURE how long it rests; [`publisher`] its executor, which
//!   holds the [`lane_end`]s
//! - data requests: [`responder`] answers them, and [`turn`] shares the gate between them and feeds
//! - the source: [`lease`] PURE; [`lease_keeper`] its executor
//! - what recipients see of rows: [`mask`] PURE; persons about whom nothing is sent: [`blocklist`] keeps the list as its file says
//! - the operator's way on after a stop: [`epoch`]; what operators order: [`order`] gives it,
//!   [`control`] obeys; [`hold`] PURE what holds mean for a lane; [`act`] writes it into an audit chain;
//!   [`control_head`] finds the record that a new one follows; [`witness`] and [`high_water`] detect orders that were
//!   restored from an older copy; [`notice`] reports to each recipient why its lanes are stopped
//! - all of it: [`mod@run`], with [`options`] and what it shows, [`status`]; [`retry`] how long to
//!   wait before trying again

pub mod act;
pub mod blocklist;
pub mod changed;
pub mod chunker;
pub mod control;
pub mod control_head;
pub mod epoch;
pub mod group;
pub mod high_water;
pub mod hold;
pub mod idle;
pub mod lane;
pub mod lane_end;
pub mod lease;
pub mod lease_keeper;
pub mod mask;
pub mod notice;
pub mod options;
pub mod order;
pub mod publisher;
pub mod quantum;
pub mod responder;
pub mod retry;
pub mod run;
pub mod seal;
pub mod source_verdict;
pub mod status;
pub mod step;
pub mod stop;
pub mod tail;
pub mod turn;
pub mod witness;

pub use options::{PublisherOptions, SocialOptions};
pub use responder::{AnswerOptions, Answering};
pub use run::{FeedPlan, Holding, Social, SocialError, SocialParts, SocialView, new_instance, run};
pub use status::SocialStatus;
