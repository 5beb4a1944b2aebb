//! Writing a key or a certificate so that only its owner reads it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;

fn failed(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!(
        "{}: {error}; give a folder that you may write to and that holds none of it yet",
        path.display()
    ))
}

/// What is secret by its name: seeds, private keys, what a server is started with.
fn mode(name: &str) -> u32 {
    let secret = [".seed", ".key", ".env"];
    if secret.iter().any(|end| name.ends_with(end)) {
        0o600
    } else {
        0o644
    }
}

/// Writes files that must not be there yet; folders are made. Nothing is written when one of
/// them exists.
pub(super) fn write_new(folder: &Path, files: &[(String, String)]) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let taken = files
        .iter()
        .map(|(name, _)| folder.join(name))
        .find(|path| path.exists());
    if let Some(path) = taken {
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

/// Puts a file in the place of another in one step: whoever reads sees the old or the new one.
pub(super) fn replace(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let fresh = format!("new-{}-{name}", std::process::id());
    write_new(folder, &[(fresh.clone(), text.to_owned())])?;
    let to = folder.join(name);
    std::fs::rename(folder.join(fresh), &to).map_err(|error| failed(&to, &error))
}

/// Reads a file that an earlier call wrote.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "{}: {error}; give a folder that `slacktide keys site` made",
            path.display()
        ))
    })
}
