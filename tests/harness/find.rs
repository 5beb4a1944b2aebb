//! Paths of the server binaries. A missing binary fails the test: nothing is skipped.

use std::path::{Path, PathBuf};

/// Returns the root of the workspace, for shipped files such as samples and server configurations.
#[must_use]
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("tests/harness is two below the root")
        .to_owned()
}

/// Returns the path of nats-server: `SLACKTIDE_NATS_SERVER`, else `.tools/bin`, else from the PATH.
#[must_use]
pub fn nats_server_binary() -> PathBuf {
    named("SLACKTIDE_NATS_SERVER")
        .or_else(|| existing(workspace().join(".tools/bin/nats-server")))
        .or_else(|| on_path("nats-server"))
        .expect("no nats-server: run `make tools`, or set SLACKTIDE_NATS_SERVER")
}

/// Returns the directory with PostgreSQL's `initdb` and `postgres`: `SLACKTIDE_PG_BIN`, else `.tools/pg/bin`. Symbolic links
/// are resolved, since PostgreSQL finds its libraries relative to the binary.
#[must_use]
pub fn postgres_bin() -> PathBuf {
    named("SLACKTIDE_PG_BIN")
        .or_else(|| existing(workspace().join(".tools/pg/bin")))
        .and_then(|dir| dir.canonicalize().ok())
        .filter(|dir| dir.join("initdb").exists())
        .expect(
            "no PostgreSQL server: run `make tools`, or set SLACKTIDE_PG_BIN to the directory with initdb",
        )
}

fn named(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|value| !value.is_empty())?);
    assert!(
        path.exists(),
        "{variable} names {}, which does not exist: run `make tools`",
        path.display()
    );
    Some(path)
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}

fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
