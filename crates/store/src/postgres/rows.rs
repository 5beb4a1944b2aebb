//! Writes rows into the target in bulk. If the server refuses a bulk, it is split in halves, down to the refused
//! rows.
//!
//! - `stage` staging tables; `upsert_sql` PURE, the SQL from there to the target
//! - `traits` properties of a table that decide how rows are written; `copy` rows in the binary format or as text
//! - `split` writes new keys apart from known ones
//! - `free_unique` frees unique values of older versions
//! - `target` the write path of a bulk, and its refused rows; `write_result` PURE, the server's results

mod copy;
mod free_unique;
mod split;
mod stage;
mod target;
mod traits;
mod upsert_sql;
mod write_result;

pub(super) use free_unique::{FreedColumns, columns_to_free};
pub(super) use stage::{is_partitioned, stage};
pub(super) use target::{Refused, Target};
