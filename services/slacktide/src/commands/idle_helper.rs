//! `slacktide idle-helper run`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use priority::cgroup::CgroupError;
use priority::helper::{Helper, HelperConfig, HelperError};
use runtime::config::{Loaded, load_with};
use runtime::exit::Exit;

use super::agent;
use crate::failure::{Failure, Outcome};

/// Serves until it is told to stop.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    must_be_ours(&path)?;
    // Nothing from the environment: what this process may do stands in the one file.
    let loaded: Loaded<HelperConfig> = load_with(&path, Vec::new())?;
    let stop = agent::stop()?;
    let helper = Helper::open(&loaded.value).map_err(|error| {
        let exit = match &error {
            HelperError::Cgroup(CgroupError::Rights { .. }) => Exit::Denied,
            _ => Exit::Usage,
        };
        Failure::new(exit, error.to_string())
    })?;
    tracing::info!(socket = %loaded.value.idle_helper.socket.display(), "idle helper listens");
    helper.serve(stop.token().clone()).await;
    tracing::info!("idle helper stopped");
    Ok(Exit::Done)
}

/// Whoever can write the file decides what may be moved.
fn must_be_ours(path: &Path) -> Result<(), Failure> {
    // One that is not there is told by whoever reads it.
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(());
    };
    let ours = found.uid() == nix::unistd::geteuid().as_raw() || found.uid() == 0;
    if ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{}: others may change this file, and it says what a privileged process does; chown root and chmod 0644",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_may_change_is_refused() -> std::io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let mode = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode));
        mode(0o644)?;
        assert!(must_be_ours(file.path()).is_ok());
        for open in [0o664, 0o646] {
            mode(open)?;
            assert!(must_be_ours(file.path()).is_err_and(|no| no.to_string().contains("chmod")));
        }
        Ok(())
    }
}
