//! The file of tokens: mode 0600, replaced atomically under a lock.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use schemas::name::PartyName;
use serde::{Deserialize, Serialize};

use super::{PREFIX, TokenEntry, TokenError, digest_of};
use crate::party::{ConsoleRole, Role};

/// The file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    tokens: Vec<TokenEntry>,
}

/// Distinguishes two contents of the file. A replaced file is another inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    changed: (i64, i64),
    length: u64,
}

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The party that it authenticates.
    pub party: PartyName,
    /// The role in which the party is served.
    pub role: Role,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What it is for.
    pub note: String,
    /// What it allows in the console; `None`: it opens the interface.
    pub console: Option<ConsoleRole>,
}

impl Stamp {
    /// Returns the stamp of a file.
    ///
    /// # Errors
    /// When the file cannot be examined.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from(&fs::metadata(path)?))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
        }
    }
}

/// Reads the tokens of a file, with its stamp.
///
/// # Errors
/// [`TokenError`] when it cannot be read, is malformed, or is readable by others.
pub fn read(path: &Path) -> Result<(Stamp, Vec<TokenEntry>), TokenError> {
    let failed = |cause| TokenError::Read {
        path: path.display().to_string(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode {
            path: path.display().to_string(),
            mode,
        });
    }
    let text = io::read_to_string(file).map_err(failed)?;
    let read: TokenFile = serde_json::from_str(&text).map_err(|cause| TokenError::Format {
        path: path.display().to_string(),
        cause,
    })?;
    Ok((Stamp::from(&metadata), read.tokens))
}

/// Creates a token and returns its entry and its text, which is stored nowhere. Creates the file if it is missing.
///
/// # Errors
/// [`TokenError`] when the file is unusable or cannot be replaced.
pub fn add(path: &Path, new: NewToken, now: Timestamp) -> Result<(TokenEntry, String), TokenError> {
    let secret: [u8; 32] = rand::random();
    let token = format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&secret));
    let NewToken {
        party,
        role,
        expires_at,
        note,
        console,
    } = new;
    let entry = update(path, |tokens| {
        let is_taken = |id: &String| tokens.iter().any(|entry| entry.id == *id);
        let mut id = new_id();
        while is_taken(&id) {
            id = new_id();
        }
        let entry = TokenEntry {
            id,
            party,
            role,
            sha256: digest_of(&token),
            created_at: now,
            expires_at,
            note,
            console,
        };
        tokens.push(entry.clone());
        Ok(entry)
    })?;
    Ok((entry, token))
}

/// Removes a token and returns its entry. A running gateway refuses it from the next request on.
///
/// # Errors
/// [`TokenError::NoSuch`], and the errors of [`add`].
pub fn revoke(path: &Path, id: &str) -> Result<TokenEntry, TokenError> {
    update(path, |tokens| {
        let index = tokens.iter().position(|entry| entry.id == id);
        let index = index.ok_or_else(|| TokenError::NoSuch {
            path: path.display().to_string(),
            id: id.to_owned(),
        })?;
        Ok(tokens.remove(index))
    })
}

fn new_id() -> String {
    hex::encode(rand::random::<[u8; 4]>())
}

/// Changes the tokens of a file. Two processes do it one after the other.
fn update<T>(
    path: &Path,
    change: impl FnOnce(&mut Vec<TokenEntry>) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let failed = |cause| TokenError::Write {
        path: path.display().to_string(),
        cause,
    };
    let lock = sibling(path, ".lock");
    let lock = private()
        .create(true)
        .truncate(false)
        .open(lock)
        .map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut tokens = match read(path) {
        Ok((_, tokens)) => tokens,
        Err(TokenError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let result = change(&mut tokens)?;
    let text = serde_json::to_string_pretty(&TokenFile { tokens }).map_err(|cause| TokenError::Format {
        path: path.display().to_string(),
        cause,
    })?;
    replace(path, &text).map_err(failed)?;
    Ok(result)
}

/// Replaces a file: a reader sees the old or the new content, also after a power failure.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = sibling(path, ".new");
    // An earlier call that was killed may have left it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = private().create_new(true).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn new(note: &str) -> NewToken {
        NewToken {
            party: PartyName::new("insurer-a").unwrap(),
            role: Role::Recipient,
            expires_at: Timestamp::MAX,
            note: note.to_owned(),
            console: None,
        }
    }

    #[test]
    fn token_file_is_private_and_has_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        let (entry, token) = add(&path, new("nightly"), Timestamp::UNIX_EPOCH).unwrap();
        // 256 bits in base64, without padding.
        assert!(
            token.starts_with(PREFIX) && token.len() == PREFIX.len() + 43,
            "{}",
            token.len()
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&token) && text.contains(&entry.sha256), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().1, [entry]);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path), Err(TokenError::Mode { mode: 0o640, .. })));
    }

    #[test]
    fn token_file_of_concurrent_calls_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, new(&number.to_string()), Timestamp::UNIX_EPOCH).unwrap());
            }
        });
        let mut notes: Vec<String> = read(&path)
            .unwrap()
            .1
            .into_iter()
            .map(|entry| entry.note)
            .collect();
        notes.sort();
        assert_eq!(notes, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    }

    #[test]
    fn token_file_damaged_or_without_the_id_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.json");
        assert!(matches!(revoke(&path, "00"), Err(TokenError::NoSuch { .. })));
        private()
            .create_new(true)
            .open(&path)
            .unwrap()
            .write_all(b"{")
            .unwrap();
        assert!(matches!(
            add(&path, new(""), Timestamp::UNIX_EPOCH),
            Err(TokenError::Format { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }
}
