//! PURE: the shape of a lane's tables, and how a chunk's columns change it.
//!
//! The order of chunk numbers decides, not the order of arrival: a chunk after the newest shape without a column has
//! dropped it; a chunk before it is older than the column. A column with an incompatible type continues under its
//! name, and the old column is retired under another name. A chunk's values go to the column that was current at its
//! chunk number, so a late older chunk still finds its column.
//!
//! - `stored_shape` the known shape; `step` the changes of tables
//! - `fit` compares a chunk's columns with the shape; `column_mapping` maps its values to columns

mod column_mapping;
mod fit;
mod step;
mod stored_shape;
#[cfg(test)]
mod tests;

pub use column_mapping::ColumnMapping;
pub use fit::{Fit, fit};
pub use step::{Change, Step};
pub use stored_shape::{RetiredColumn, Shape};
