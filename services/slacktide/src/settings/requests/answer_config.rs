//! The configuration of the responder.

use std::sync::Arc;

use requests::kind::Kinds;
use runtime::config::Loaded;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use social::blocklist::{self, ListWatch};
use social::responder::{AnswerConfig, AnswerOptions};

use super::history::history;
use crate::failure::Failure;
use crate::settings::SocialFile;

/// Builds the responder's configuration; `None` if the file has neither kinds nor feeds to reconcile. Without a block list, it is empty.
pub(crate) fn answer_config(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
    blocked: Option<ListWatch>,
) -> Result<Option<AnswerConfig>, Failure> {
    let file = &loaded.value;
    let reconciled = file.reconciled_feeds();
    if file.kinds.is_empty() && reconciled.is_empty() {
        return Ok(None);
    }
    let kinds = Kinds::new(file.kinds.clone())
        .map_err(|error| Failure::usage(error.to_string()))?
        .with_reconciliation(reconciled);
    let blocked = match blocked {
        Some(blocked) => blocked,
        None => {
            let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
            blocklist::empty(&persons)
        }
    };
    let masking = file
        .masking
        .as_ref()
        .map(|table| table.key(loaded.folder()))
        .transpose()?;
    let answering = AnswerConfig {
        kinds: Arc::new(kinds),
        quotas: file.requests.quota.clone(),
        trusted_requests: file.trust.request_keys(),
        officers: file.trust.officers.clone(),
        blocked,
        masking,
        history: file
            .gate
            .record
            .dir
            .as_deref()
            .map(|dir| history(&loaded.resolve(dir))),
        options: AnswerOptions {
            interval: file.requests.interval.get(),
            retries: file.requests.retries,
            feed_share: file.requests.feed_share,
            retention_days: file.requests.retention_days,
            ..AnswerOptions::default()
        },
    };
    answering
        .check()
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Some(answering))
}
