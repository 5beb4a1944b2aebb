//! Commands that follow a request or a person.

use std::path::PathBuf;

use clap::Args;
use schemas::name::PartyName;
use schemas::request::RequestId;

use crate::cli::Config;
use crate::cli::decision::Decision;

/// The arguments of `request`.
#[derive(Debug, Args)]
pub(crate) struct RequestTrailArgs {
    /// The request's id.
    pub(crate) id: RequestId,
    #[command(flatten)]
    pub(crate) question: Question,
    /// The recipient that filed it; needed if two filed one of the same id.
    #[arg(long, value_name = "NAME")]
    pub(crate) recipient: Option<PartyName>,
}

/// The arguments of `person`.
#[derive(Debug, Args)]
pub(crate) struct PersonTrailArgs {
    /// The person's mark, which `slacktide masking mark` makes at the bureau.
    #[arg(long, value_name = "FILE")]
    pub(crate) mark: PathBuf,
    #[command(flatten)]
    pub(crate) question: Question,
}

/// Who asks, and why. The question is signed and kept before anything is read.
#[derive(Debug, Args)]
pub(crate) struct Question {
    #[command(flatten)]
    pub(crate) config: Config,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Print the trail as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of `questions`.
#[derive(Debug, Args)]
pub(crate) struct QuestionsArgs {
    #[command(flatten)]
    pub(crate) config: Config,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
