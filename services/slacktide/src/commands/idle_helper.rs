//! `slacktide idle-helper run`.

use std::path::{Path, PathBuf};

use priority::cgroup::CgroupError;
use priority::helper::{Helper, HelperConfig, HelperError, check_trusted};
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

/// Who can write the file, or rename a part of its path, decides what may be moved.
fn must_be_ours(path: &Path) -> Result<(), Failure> {
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
    fn a_file_that_others_may_change_is_refused() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("helper.toml");
        std::fs::write(&file, "")?;
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&file, 0o644)?;
        assert!(must_be_ours(&file).is_ok());
        for open in [0o664, 0o646] {
            mode(&file, open)?;
            assert!(must_be_ours(&file).is_err_and(|no| no.to_string().contains("chmod")));
        }
        mode(&file, 0o644)?;
        mode(folder.path(), 0o777)?;
        assert!(must_be_ours(&file).is_err());
        Ok(())
    }
}
