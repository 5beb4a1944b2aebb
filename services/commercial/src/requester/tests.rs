//! The whole flow over an exchange in memory and a database in a file.
//!
//! - `office` who asks; `bureau` who answers by hand
//! - `flow` all goes well; `crash` something ends in the middle; `forged` replies that do not hold; `lost` answers that a restored store lacks

mod bureau;
mod crash;
mod flow;
mod forged;
mod lost;
mod office;
