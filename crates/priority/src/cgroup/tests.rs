//! Control groups in a directory that imitates their file system.

use std::fs;

use tempfile::TempDir;

use super::*;

struct Fake {
    folder: TempDir,
    version: Version,
}

impl Fake {
    fn new(version: Version, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Self { folder, version }
    }

    fn prepare(&self, path: &str) -> Result<Group, CgroupError> {
        let kind = if self.version == Version::V2 {
            "cgroup2 rw"
        } else {
            "cgroup rw,cpu"
        };
        let mounts = format!("none {} {kind} 0 0\n", self.folder.path().display());
        Group::prepare(Hierarchy::find(&mounts)?, path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_default()
    }
}

const TWO: &[(&str, &str)] = &[
    ("cgroup.controllers", "cpuset cpu io memory\n"),
    ("cgroup.subtree_control", "cpu io\n"),
    ("slacktide-idle/cgroup.type", "domain\n"),
    ("slacktide-idle/cgroup.procs", ""),
    ("slacktide-idle/cpu.idle", "0\n"),
    ("slacktide-idle/io.weight", "default 100\n"),
];

#[test]
fn version_2_group_is_configured_and_accepts_a_process() {
    let fake = Fake::new(Version::V2, TWO);
    let group = fake.prepare("/slacktide-idle").expect("prepared");
    assert_eq!(group.level, Level::Idle);
    assert!(group.io.is_ok(), "{:?}", group.io);
    assert_eq!(fake.read("slacktide-idle/cpu.idle"), "1");
    assert_eq!(fake.read("slacktide-idle/io.weight"), "default 1");
    group.put(42).expect("moved");
    assert_eq!(fake.read("slacktide-idle/cgroup.procs"), "42");
    assert_eq!(group.hierarchy().membership("4:cpu:/a\n0::/b\n"), Some("/b"));
    assert!(group.idle_file().ends_with("slacktide-idle/cpu.idle"));
}

#[test]
fn version_1_group_is_configured_and_accepts_a_process() {
    let fake = Fake::new(
        Version::V1,
        &[
            ("slacktide-idle/cpu.idle", "0"),
            ("slacktide-idle/cgroup.procs", ""),
        ],
    );
    let group = fake.prepare("/slacktide-idle").expect("prepared");
    assert_eq!(group.level, Level::Idle);
    assert!(group.io.is_err());
    assert_eq!(
        group.hierarchy().membership("4:cpu,cpuacct:/a\n0::/b\n"),
        Some("/a")
    );
    assert_eq!(group.hierarchy().membership("4:cpuset:/a\n"), None);
}

#[test]
fn group_on_an_old_kernel_has_the_smallest_share() {
    for (version, file, least) in [
        (Version::V1, "slacktide-idle/cpu.shares", "2"),
        (Version::V2, "slacktide-idle/cpu.weight", "1"),
    ] {
        let fake = Fake::new(
            version,
            &[
                (file, "100"),
                ("cgroup.controllers", "cpu"),
                ("cgroup.subtree_control", "cpu"),
            ],
        );
        let group = fake.prepare("/slacktide-idle").expect("prepared");
        assert!(matches!(&group.level, Level::Lowest { why } if why.contains("5.15")));
        assert_eq!(fake.read(file), least);
    }
}

/// A group is idle against its siblings only.
#[test]
fn nested_group_is_idle_only_below_an_idle_ancestor() {
    let below = |idle| {
        let fake = Fake::new(
            Version::V2,
            &[
                ("cgroup.controllers", "cpu"),
                ("cgroup.subtree_control", "cpu"),
                ("a.slice/cgroup.subtree_control", "cpu"),
                ("a.slice/cpu.idle", idle),
                ("a.slice/work/cpu.idle", "0"),
            ],
        );
        let group = fake.prepare("/a.slice/work").expect("prepared");
        (group.level.clone(), group.idle_file())
    };
    let (level, file) = below("1");
    assert_eq!(level, Level::Idle);
    assert!(file.ends_with("a.slice/cpu.idle"));
    assert!(matches!(below("0").0, Level::Lowest { why } if why.contains("siblings")));
}

#[test]
fn threaded_group_and_unsafe_paths_are_refused() {
    let fake = Fake::new(Version::V2, TWO);
    fs::write(
        fake.folder.path().join("slacktide-idle/cgroup.type"),
        "domain threaded\n",
    )
    .expect("written");
    assert!(
        matches!(fake.prepare("/slacktide-idle"), Err(CgroupError::Threaded { kind, .. }) if kind == "domain threaded")
    );
    for path in ["", "/", "a", "/a/", "/../a", "/a//b", "/a/..", "/a b"] {
        assert!(matches!(fake.prepare(path), Err(CgroupError::Path(_))), "{path}");
    }
}

#[test]
fn kernel_errors_are_reported_with_the_remedy() {
    use rustix::io::Errno;
    let message = |errno: Errno| CgroupError::from_move(Path::new("/g"), 7, errno.into()).to_string();
    assert!(message(Errno::ACCESS).contains("needs root or delegation"));
    assert!(message(Errno::BUSY).contains("name a leaf"));
    assert!(message(Errno::OPNOTSUPP).contains("threaded"));
    assert_eq!(message(Errno::SRCH), "process 7 has ended");
}

#[test]
fn version_2_without_the_cpu_controller_falls_back_to_1() {
    let fake = Fake::new(Version::V2, &[("cgroup.controllers", "")]);
    let two = format!("none {} cgroup2 rw 0 0\n", fake.folder.path().display());
    assert!(matches!(Hierarchy::find(&two), Err(CgroupError::Unavailable(_))));
    let both = format!("{two}none /x\\040y cgroup rw,cpu,cpuacct 0 0\nnone /z cgroup rw,cpuset 0 0\n");
    let found = Hierarchy::find(&both).expect("version 1");
    assert_eq!(found.version, Version::V1);
    assert_eq!(found.directory("/g"), Path::new("/x y/g"));
}
