//! `slacktide config check|show`.

use std::path::Path;

use runtime::config::{Loaded, show as shown};
use runtime::exit::Exit;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::settings::{ConfigFile, load_any, load_gateway, sample_keys};

/// Checks a file of any kind.
pub(crate) fn check(path: &Path) -> Outcome {
    if let Some(loaded) = load_gateway(path)? {
        let parties = loaded.value.parties.len();
        output::line(&format!(
            "{}: valid, a gateway's file for {parties} parties",
            path.display()
        ));
        return Ok(Exit::Done);
    }
    let what = match load_any(path)? {
        ConfigFile::Social(loaded) => format!(
            "a social agent's file with {} feeds and {} kinds of requests",
            loaded.value.feeds.len(),
            loaded.value.kinds.len()
        ),
        ConfigFile::Commercial(loaded) => format!(
            "a commercial agent's file for {}",
            loaded.value.commercial.recipient
        ),
        ConfigFile::Party(loaded) => format!("a connection file of user {}", loaded.value.exchange.user),
    };
    sample_keys::refuse_sample_keys(path)?;
    output::line(&format!("{}: valid, {what}", path.display()));
    Ok(Exit::Done)
}

/// Prints the effective values.
pub(crate) fn show(path: &Path, json: bool) -> Outcome {
    if let Some(loaded) = load_gateway(path)? {
        return print(&loaded, json);
    }
    match load_any(path)? {
        ConfigFile::Social(loaded) => print(&loaded, json),
        ConfigFile::Commercial(loaded) => print(&loaded, json),
        ConfigFile::Party(loaded) => print(&loaded, json),
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
