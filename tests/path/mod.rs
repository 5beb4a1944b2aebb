//! The main path as real processes between two PostgreSQL databases, and what is done to it.
//!
//! - `site` a private site: servers, keys, configuration files as a user would write them
//! - `doctor` what the doctor finds before an agent is started
//! - `faults` kill -9 at random moments, while the business writes
//! - `lease` a standby, a killed holder, a suspended one
//! - `commits` transactions that commit late
//! - `compacted` a ledger whose old entries are folded
//! - `shut` a gate that shuts
//! - `told` what the gate's commands tell, and what was recorded
//! - `kernel` the agent's backend in the idle class
//! - `lost_orders` pauses and holds that an older copy of the exchange does not hold
//! - `anchored` audit chains that were cut off, restored or rewritten
//! - `origin` messages of another site, bureau or source
//! - `refill` a store that was put back, replaced, truncated or doubled
//! - `restore` an exchange restored from an older copy; `restored_pairs` two of core, store and exchange at once
//! - `resync` a feed that is sent again until the store equals the core
//! - `orders_at` orders as an operator gives them, for the tests here
//! - `unreadable` unreadable messages at the heads of orders and of audit chains
//! - `orders` an operator's orders, and a policy changed while the agent runs
//! - `hidden` what masks and the block list hide is nowhere
//! - `poison` something else than a chunk on a lane
//! - `pollers` one, two and four on one durable

mod anchored;
mod commits;
mod compacted;
mod doctor;
mod faults;
mod hidden;
mod kernel;
mod lease;
mod lost_orders;
mod orders;
mod orders_at;
mod origin;
mod poison;
mod pollers;
mod refill;
mod restore;
mod restored_pairs;
mod resync;
mod shut;
pub(crate) mod site;
mod told;
mod unreadable;
