//! The file in which an auditor keeps the heads of all chains, for `audit verify --since FILE`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ::audit::heads::KeptHeads;
use jiff::Timestamp;
use runtime::exit::Exit;
use runtime::replace::replace;
use serde::{Deserialize, Serialize};

use crate::cli::{Part, Since};
use crate::failure::Failure;

/// The file, and what it kept.
pub(crate) struct HeadsFile {
    path: PathBuf,
    kept: Option<Content>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The form of this file.
    version: u32,
    /// When everything was verified last, by the auditor's clock.
    at: Timestamp,
    heads: KeptHeads,
}

const VERSION: u32 = 1;

impl HeadsFile {
    /// The file that `--since` names, read; none where it names none. A part of the streams has no heads.
    pub(crate) fn of(part: &Part) -> Result<Option<Self>, Failure> {
        let Some(Since::File(path)) = &part.since else {
            return Ok(None);
        };
        let is_part = part.from.is_some() || part.to.is_some() || part.until.is_some();
        if is_part || part.recipient.is_some() || part.feed.is_some() {
            return Err(Failure::usage(
                "--since FILE is about all of the streams: leave out --from, --to, --until, --recipient and --feed",
            ));
        }
        let path = path.clone();
        let kept = read(&path)?;
        Ok(Some(Self { path, kept }))
    }

    /// The heads that must stand in the streams; none: this is the first run.
    pub(crate) fn kept(&self) -> Option<&KeptHeads> {
        self.kept.as_ref().map(|content| &content.heads)
    }

    /// Puts the heads of now into the file; what was done, in a sentence.
    pub(crate) fn advance(self, heads: &KeptHeads) -> Result<String, Failure> {
        let content = Content {
            version: VERSION,
            at: Timestamp::now(),
            heads: heads.clone(),
        };
        let text = serde_json::to_string_pretty(&content).map_err(|error| Failure::internal(&error))?;
        let path = self.path.display();
        replace(&self.path, &text).map_err(|error| {
            let what = format!("{path}: the heads cannot be kept: {error}; make its folder writable");
            Failure::new(Exit::Unfinished, what)
        })?;
        Ok(match self.kept {
            Some(before) => format!(
                "{path}: the heads of {:.0} stand in the streams; those of now are kept",
                before.at
            ),
            None => format!(
                "{path}: there was no such file, so nothing was demanded of the streams; the heads of now are kept in it"
            ),
        })
    }
}

fn read(path: &Path) -> Result<Option<Content>, Failure> {
    let wrong = |what: String| {
        let what = format!(
            "{}: {what}; put the auditor's file in its place, or name another one",
            path.display()
        );
        Failure::new(Exit::Usage, what)
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let content: Content =
        serde_json::from_str(&text).map_err(|error| wrong(format!("it keeps no heads: {error}")))?;
    if content.version != VERSION {
        return Err(wrong(format!(
            "its version {} is not known here",
            content.version
        )));
    }
    Ok(Some(content))
}
