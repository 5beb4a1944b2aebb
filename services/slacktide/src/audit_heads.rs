//! The file with the heads of all chains, for `audit verify --since FILE`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use runtime::exit::Exit;
use runtime::replace::replace;
use serde::{Deserialize, Serialize};
use verification::heads::KeptHeads;

use crate::cli::{Part, Since};
use crate::failure::Failure;

/// The file and its content.
pub(crate) struct HeadsFile {
    path: PathBuf,
    content: Option<Content>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The version of the file format.
    version: u32,
    /// When everything was verified last, by the auditor's clock.
    at: Timestamp,
    heads: KeptHeads,
}

const VERSION: u32 = 1;

impl HeadsFile {
    /// Reads the file that `--since` names; `None` if it names none. Refuses options that select a part of the streams.
    pub(crate) fn of(part: &Part) -> Result<Option<Self>, Failure> {
        let Some(Since::File(path)) = &part.since else {
            return Ok(None);
        };
        let is_part = part.from.is_some() || part.to.is_some() || part.until.is_some();
        if is_part || part.recipient.is_some() || part.feed.is_some() {
            return Err(Failure::usage(
                "--since FILE needs the whole streams: leave out --from, --to, --until, --recipient and --feed",
            ));
        }
        let path = path.clone();
        let content = read(&path)?;
        Ok(Some(Self { path, content }))
    }

    /// Returns the heads that the streams must contain; `None` in the first run.
    pub(crate) fn known_heads(&self) -> Option<&KeptHeads> {
        self.content.as_ref().map(|content| &content.heads)
    }

    /// Writes the current heads to the file, and returns a message.
    pub(crate) fn advance(self, heads: &KeptHeads) -> Result<String, Failure> {
        let content = Content {
            version: VERSION,
            at: Timestamp::now(),
            heads: heads.clone(),
        };
        let text = serde_json::to_string_pretty(&content).map_err(|error| Failure::internal(&error))?;
        let path = self.path.display();
        replace(&self.path, &text).map_err(|error| {
            let what = format!("{path}: cannot write the heads: {error}; make the folder writable");
            Failure::new(Exit::Unfinished, what)
        })?;
        Ok(match self.content {
            Some(before) => format!(
                "{path}: the streams contain the heads of {:.0}; the current heads are saved",
                before.at
            ),
            None => format!(
                "{path}: the file did not exist, so nothing was compared; the current heads are saved"
            ),
        })
    }
}

fn read(path: &Path) -> Result<Option<Content>, Failure> {
    let invalid = |what: String| {
        let what = format!(
            "{}: {what}; put the auditor's file in its place, or name another one",
            path.display()
        );
        Failure::new(Exit::Usage, what)
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(invalid(error.to_string())),
    };
    let content: Content =
        serde_json::from_str(&text).map_err(|error| invalid(format!("not a heads file: {error}")))?;
    if content.version != VERSION {
        return Err(invalid(format!("version {} is not supported", content.version)));
    }
    Ok(Some(content))
}
