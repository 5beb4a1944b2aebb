//! Reports a test that cannot run on this machine, instead of passing silently.

use std::fs::OpenOptions;
use std::io::Write;

/// Reports that the calling test was skipped because `need`, such as `root`, is missing. The test then returns.
///
/// The line goes to the output of the test, and to the file that `SLACKTIDE_TEST_SKIPPED` names: `scripts/test.sh` counts its
/// lines and subtracts them from the passed tests in its closing line.
pub fn skip(need: &str) {
    let thread = std::thread::current();
    let line = format!("{need}: {}\n", thread.name().unwrap_or("a test"));
    eprint!("skipped, needs {line}");
    if let Some(path) = std::env::var_os("SLACKTIDE_TEST_SKIPPED").filter(|path| !path.is_empty()) {
        // One short write: several test processes may append at once.
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("SLACKTIDE_TEST_SKIPPED names a file that can be written");
        file.write_all(line.as_bytes())
            .expect("the file can be appended to");
    }
}

/// Returns whether the environment has `variable`, which `need` sets. Otherwise reports the calling test as skipped.
#[must_use]
pub fn is_wanted(variable: &str, need: &str) -> bool {
    let is_wanted = std::env::var_os(variable).is_some();
    if !is_wanted {
        skip(need);
    }
    is_wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run;
    use std::process::Command;
    use std::time::Duration;

    #[tokio::test]
    async fn skip_appends_need_and_test_to_the_file() {
        const NAME: &str = "skip::tests::skip_appends_need_and_test_to_the_file";
        const PART: &str = "SLACKTIDE_TEST_PART";
        if std::env::var_os(PART).is_some() {
            return skip("a missing tool");
        }
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("skipped");
        for _ in 0..2 {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", NAME])
                .env(PART, "skips")
                .env("SLACKTIDE_TEST_SKIPPED", &list);
            let done = run("the skipping test", &mut command, Duration::from_secs(60)).await;
            assert!(done.status.success(), "{}", done.stdout);
        }
        let line = format!("a missing tool: {NAME}\n");
        assert_eq!(std::fs::read_to_string(list).unwrap(), line.repeat(2));
    }
}
