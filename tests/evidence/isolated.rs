//! `slacktide-verify` needs nothing but itself, the export and the trust file: it runs in an empty network namespace with an empty
//! root. The root holds the program, the shared libraries that `ldd` lists, and the evidence; no `/proc`, no `/etc`, no shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::{run, skip, verify_program};

use super::rich_site::rich_export;
use crate::pipeline::site::DEADLINE;

/// New namespaces of users, mounts and networks, as the root of the first.
const NAMESPACES: [&str; 4] = ["--user", "--map-root-user", "--mount", "--net"];

fn can_make_namespaces() -> bool {
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).args(["chroot", "/", "true"]);
    command.output().is_ok_and(|done| done.status.success())
        && Command::new("ldd").arg("--version").output().is_ok()
}

fn copy_into(root: &Path, file: &Path) {
    let target = root.join(file.strip_prefix("/").unwrap());
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(file, target).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_export_verifies_in_an_empty_root() {
    if !can_make_namespaces() {
        return skip("user, mount and network namespaces, chroot and ldd");
    }
    let export = rich_export().await;
    let root = tempfile::tempdir().unwrap();
    let program = Path::new(verify_program().get_program()).to_owned();
    fs::copy(&program, root.path().join("slacktide-verify")).unwrap();
    let listed = Command::new("ldd").arg(&program).output().unwrap();
    let libraries = String::from_utf8(listed.stdout).unwrap();
    let paths = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for library in paths {
        copy_into(root.path(), Path::new(library));
    }
    let allowed = ["linux-vdso", "libc.", "libm.", "libgcc_s.", "ld-linux"];
    for line in libraries.lines() {
        assert!(
            allowed.iter().any(|name| line.contains(name)),
            "another library: {line}"
        );
    }
    fs::copy(export.path("trust.toml"), root.path().join("trust.toml")).unwrap();
    fs::create_dir(root.path().join("export")).unwrap();
    for (name, bytes) in &export.files {
        fs::write(root.path().join("export").join(name), bytes).unwrap();
    }
    let verify = async || {
        let mut command = Command::new("unshare");
        command
            .args(NAMESPACES)
            .arg("chroot")
            .arg(root.path())
            .args(["/slacktide-verify", "--trust", "/trust.toml", "/export"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        run("slacktide-verify", &mut command, DEADLINE).await
    };
    let done = verify().await;
    assert!(done.status.success(), "{}{}", done.stdout, done.stderr);
    assert!(
        done.stdout.contains("to the end of every stream"),
        "{}",
        done.stdout
    );

    let (name, bytes) = &export.files[0];
    let mut altered = bytes.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(root.path().join("export").join(name), altered).unwrap();
    let done = verify().await;
    assert_eq!(done.status.code(), Some(7), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains(&format!("FAULT {name}")), "{}", done.stdout);
}
