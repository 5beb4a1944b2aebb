//! Both sources against real databases.

mod postgres;
mod rows;
mod sqlite;
