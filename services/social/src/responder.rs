//! Answers data requests: each exactly once, only while the core has slack.
//!
//! - what it needs from outside: [`answering`]

pub mod answering;

pub use answering::{AnswerOptions, Answering, AnsweringError};
