//! `slacktide config check|show`.

use std::path::Path;

use runtime::config::{Loaded, show as shown};
use runtime::exit::Exit;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{Kind, examples, load_any};

/// Checks a file of any kind.
pub(crate) fn check(path: &Path) -> Outcome {
    let what = match load_any(path)? {
        Kind::Social(loaded) => format!(
            "a social agent's file with {} feeds and {} kinds of requests",
            loaded.value.feeds.len(),
            loaded.value.kinds.len()
        ),
        Kind::Commercial(loaded) => format!(
            "a commercial agent's file for {}",
            loaded.value.commercial.recipient
        ),
        Kind::Party(loaded) => format!("a connection file of user {}", loaded.value.exchange.user),
    };
    examples::refuse(path)?;
    output::line(&format!("{}: good, {what}", path.display()));
    Ok(Exit::Done)
}

/// Prints the effective values.
pub(crate) fn show(path: &Path, json: bool) -> Outcome {
    match load_any(path)? {
        Kind::Social(loaded) => print(&loaded, json),
        Kind::Commercial(loaded) => print(&loaded, json),
        Kind::Party(loaded) => print(&loaded, json),
    }
}

fn print<T: Serialize>(loaded: &Loaded<T>, json: bool) -> Outcome {
    if json {
        let mut value = toml::Value::try_from(&loaded.value).map_err(|error| Failure::internal(&error))?;
        shown::redact(&mut value);
        let overrides: Vec<_> = loaded
            .overrides
            .iter()
            .map(|one| serde_json::json!({ "key": one.key.join("."), "variable": one.variable }))
            .collect();
        output::json(&serde_json::json!({ "file": loaded.path, "overrides": overrides, "values": value }))?;
    } else {
        let text = shown::show(loaded).map_err(|error| Failure::internal(&error))?;
        output::lines(text.trim_end().lines());
    }
    Ok(Exit::Done)
}
