//! The console over an exchange in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed setup must fail the test"
)]

mod access;
mod login;
mod pages;
mod records;
mod site;
mod stream;
