//! Writes keys and certificates with restricted permissions.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!(
        "{}: {error}; give a writable folder without such a file",
        path.display()
    ))
}

/// The file mode by name: seeds, private keys and environment files are secret.
fn mode(name: &str) -> u32 {
    let secret = [".seed", ".key", ".env"];
    if secret.iter().any(|end| name.ends_with(end)) {
        0o600
    } else {
        0o644
    }
}

/// Writes new files and creates their folders. Writes nothing if one of the files exists.
pub(super) fn write_new(folder: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let existing = files
        .iter()
        .map(|(name, _)| folder.join(name))
        .find(|path| path.exists());
    if let Some(path) = existing {
        return Err(failed(&path, &"exists already, and nothing is overwritten"));
    }
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode(name))
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        file.write_all(text.as_bytes())
            .map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// Replaces a file atomically: a reader sees the old or the new one.
pub(super) fn replace(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let temporary = format!("new-{}-{name}", std::process::id());
    write_new(folder, &[(temporary.clone(), text.to_owned())])?;
    let to = folder.join(name);
    std::fs::rename(folder.join(temporary), &to).map_err(|error| failed(&to, &error))
}

/// Reads a file that an earlier run wrote.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "{}: {error}; give a folder that `slacktide keys site` created",
            path.display()
        ))
    })
}
