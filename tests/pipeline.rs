//! The path from core to store as real processes between two PostgreSQL databases.
//!
//! - `site` a private site: servers, keys, configuration files as a user would write them
//! - `doctor` what `slacktide doctor` finds before an agent is started
//! - `kills` kill -9 at random moments, while rows are written
//! - `lease` a standby, a killed holder, a suspended holder
//! - `fence` transactions that commit late
//! - `compaction` a compacted ledger
//! - `gate_closed` a gate that closes
//! - `gate_commands` the gate's commands and recorded samples
//! - `priority_mode` the agent's backend in the idle class
//! - `lost_orders` pauses and holds that an older copy of the exchange lacks
//! - `audit_anchor` audit chains that were cut, restored or rewritten
//! - `origin` messages of another site, bureau or source
//! - `reconcile` core and store are compared by digests, and repaired
//! - `refill` a store that was restored, replaced, truncated or duplicated
//! - `restore` an exchange restored from an older copy; `restored_pairs` two of core, store and exchange at once
//! - `resync` a feed that is sent again until the store equals the core
//! - `order_commands` helpers: operators' orders and what the agent shows of them
//! - `unreadable` unreadable messages at the heads of orders and audit chains
//! - `orders` operators' orders, and a policy changed while the agent runs
//! - `masking` values hidden by masks and the block list are nowhere
//! - `poison` a message on a lane that is not a chunk
//! - `pollers` one, two and four pollers on one durable consumer

mod audit_anchor;
mod compaction;
mod doctor;
mod fence;
mod gate_closed;
mod gate_commands;
mod kills;
mod lease;
mod lost_orders;
mod masking;
mod order_commands;
mod orders;
mod origin;
mod poison;
mod pollers;
mod priority_mode;
pub(crate) mod reconcile;
mod refill;
mod repair;
mod restore;
mod restored_pairs;
mod resync;
pub(crate) mod site;
mod unreadable;
