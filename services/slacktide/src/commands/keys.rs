//! `slacktide keys new`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use runtime::exit::Exit;
use schemas::sign::SigningKey;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output;

/// The public halves of a party's keys.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Public {
    /// For the exchange's account file, `U…`.
    pub(crate) connect: String,
    /// For the other parties' `[trust]`, `A…`.
    pub(crate) sign: String,
}

/// Makes a party's keys and says where the public halves go.
pub(crate) fn new(out: &Path, json: bool) -> Outcome {
    let public = write_keys(out)?;
    if json {
        output::json(&public)?;
    } else {
        let out = out.display();
        output::line(&format!(
            "{out}/connect.seed, {out}/sign.seed   secret: keep them on this machine, mode 0600\n\
             {out}/connect.pub   {}   for the exchange's account file\n\
             {out}/sign.pub      {}   for the other parties' [trust]",
            public.connect, public.sign
        ));
    }
    Ok(Exit::Done)
}

/// Makes a connection key and a signing key in a folder. Nothing is ever overwritten.
pub(crate) fn write_keys(out: &Path) -> Result<Public, Failure> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "{}: {error}; give a folder that you may write to and that holds no keys yet",
            path.display()
        ))
    };
    std::fs::create_dir_all(out).map_err(|error| failed(out, &error))?;
    let names = ["connect.seed", "connect.pub", "sign.seed", "sign.pub"];
    if let Some(path) = names.iter().map(|name| out.join(name)).find(|path| path.exists()) {
        return Err(failed(&path, &"exists already, and a key is never overwritten"));
    }
    let connect = nkeys::KeyPair::new_user();
    let sign = SigningKey::generate();
    let connect_seed = connect.seed().map_err(|error| Failure::internal(&error))?;
    let sign_seed = sign.seed().map_err(|error| Failure::internal(&error))?;
    let public = Public {
        connect: connect.public_key(),
        sign: sign.public().to_string(),
    };
    let texts = [
        connect_seed,
        public.connect.clone(),
        sign_seed,
        public.sign.clone(),
    ];
    for (name, text) in names.iter().zip(texts) {
        let mode = if name.ends_with(".seed") { 0o600 } else { 0o644 };
        let path = out.join(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        writeln!(file, "{text}").map_err(|error| failed(&path, &error))?;
    }
    Ok(public)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn four_files_seeds_for_the_owner_only_and_never_overwritten() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let public = write_keys(folder.path())?;
        assert!(public.connect.starts_with('U') && public.sign.starts_with('A'));
        for (name, first) in [("connect.seed", "SU"), ("sign.seed", "SA")] {
            let path = folder.path().join(name);
            assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
            assert!(std::fs::read_to_string(path)?.starts_with(first));
        }
        let again = write_keys(folder.path())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(again.contains("connect.seed: exists already"), "{again}");
        Ok(())
    }
}
