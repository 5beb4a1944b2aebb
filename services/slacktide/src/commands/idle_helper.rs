//! `slacktide idle-helper run`.

use std::path::{Path, PathBuf};

use priority::cgroup::CgroupError;
use priority::helper::{Helper, HelperConfig, HelperError, check_trusted};
use runtime::config::{Loaded, load_with};
use runtime::exit::Exit;

use super::agent;
use crate::failure::{Failure, Outcome};

/// Serves until a stop signal.
pub(crate) async fn run(path: PathBuf) -> Outcome {
    check_file_trusted(&path)?;
    // No overrides from the environment: the file alone decides what this process may do.
    let loaded: Loaded<HelperConfig> = load_with(&path, Vec::new())?;
    let stop = agent::stop_on_signals()?;
    let helper = Helper::open(&loaded.value).map_err(|error| {
        let exit = match &error {
            HelperError::Cgroup(CgroupError::PermissionDenied { .. }) => Exit::Denied,
            _ => Exit::Usage,
        };
        Failure::new(exit, error.to_string())
    })?;
    tracing::info!(socket = %loaded.value.idle_helper.socket.display(), "idle helper listens");
    helper.serve(stop.token().clone()).await;
    tracing::info!("idle helper stopped");
    Ok(Exit::Done)
}

/// Refuses a file that others can write or replace: it decides which processes may be moved.
fn check_file_trusted(path: &Path) -> Result<(), Failure> {
    // Loading it reports a file that is missing.
    if !path.exists() {
        return Ok(());
    }
    check_trusted(path).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn helper_file_writable_by_others_is_refused() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("helper.toml");
        std::fs::write(&file, "")?;
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&file, 0o644)?;
        assert!(check_file_trusted(&file).is_ok());
        for open in [0o664, 0o646] {
            mode(&file, open)?;
            assert!(check_file_trusted(&file).is_err_and(|no| no.to_string().contains("chmod")));
        }
        mode(&file, 0o644)?;
        mode(folder.path(), 0o777)?;
        assert!(check_file_trusted(&file).is_err());
        Ok(())
    }
}
