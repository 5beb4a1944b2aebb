//! What the responder goes by.

use std::sync::Arc;

use requests::kind::Kinds;
use runtime::config::Loaded;
use schemas::person::PersonKey;
use schemas::sign::SigningKey;
use social::blocklist::{self, ListWatch};
use social::responder::{AnswerOptions, Answering};

use super::history::history;
use crate::failure::Failure;
use crate::settings::SocialFile;

/// What the responder goes by; none where the file has no kinds. Without a block list, nobody is on it.
pub(crate) fn answering(
    loaded: &Loaded<SocialFile>,
    key: &SigningKey,
    blocked: Option<ListWatch>,
) -> Result<Option<Answering>, Failure> {
    let file = &loaded.value;
    if file.kinds.is_empty() {
        return Ok(None);
    }
    let kinds = Kinds::new(file.kinds.clone()).map_err(|error| Failure::usage(error.to_string()))?;
    let blocked = match blocked {
        Some(blocked) => blocked,
        None => {
            let persons = PersonKey::of(key).map_err(|error| Failure::internal(&error))?;
            blocklist::nobody(&persons)
        }
    };
    let masking = file
        .masking
        .as_ref()
        .map(|table| table.key(loaded.folder()))
        .transpose()?;
    let answering = Answering {
        kinds: Arc::new(kinds),
        quotas: file.requests.quota.clone(),
        trusted_requests: file.trust.askers(),
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
