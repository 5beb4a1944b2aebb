//! The value of `request file`: what became of each request.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use crate::output::{Report, View};

/// The requests that were filed, and those that were not.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(title = "request file")]
pub(in crate::commands) struct FilingReport {
    /// The request, or the requests of the file in the order of their lines.
    pub(super) items: Vec<FilingItem>,
    /// The file of the rejected lines.
    pub(super) rejected_file: Option<PathBuf>,
    /// The file of the signed request, which is not filed.
    pub(super) signed_file: Option<PathBuf>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FilingWord {
    /// It was filed.
    Filed,
    /// It existed, and waits for its outcome or is answered.
    Known,
    /// It existed, and was to be filed again, but is answered.
    Answered,
    /// It existed, and has an outcome without an answer.
    NoAnswer,
    /// The line is not a valid request.
    Rejected,
    /// It is signed and in a file.
    Signed,
}

/// One request.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FilingItem {
    /// The line of the file; `null` without a file.
    pub(super) line: Option<usize>,
    /// The id of the request; `null` if it was rejected.
    pub(super) id: Option<String>,
    /// The value of the header `Idempotency-Key`, for a signed request.
    pub(super) idempotency_key: Option<String>,
    pub(super) result: FilingWord,
    /// The outcome of a request that existed.
    pub(super) outcome: Option<String>,
    /// Why it was rejected.
    pub(super) reason: Option<String>,
}

impl Report for FilingReport {
    fn view(&self) -> View {
        let mut view = View::new();
        if let (Some(file), [item]) = (&self.signed_file, self.items.as_slice()) {
            let unknown = String::new();
            view.line(format!(
                "{}: request {}, signed; its Idempotency-Key is {}",
                file.display(),
                item.id.as_ref().unwrap_or(&unknown),
                item.idempotency_key.as_ref().unwrap_or(&unknown)
            ));
            return view;
        }
        match self.items.as_slice() {
            [
                FilingItem {
                    line: None,
                    id: Some(id),
                    ..
                },
            ] => view.line(format!(
                "filed as {id}; `slacktide request show {id}` shows its state"
            )),
            items => {
                let refused = [FilingWord::NoAnswer, FilingWord::Rejected];
                let filed = items.iter().filter(|item| !refused.contains(&item.result));
                view.line(format!("{} requests are at the exchange", filed.count()))
            }
        };
        view
    }
}
