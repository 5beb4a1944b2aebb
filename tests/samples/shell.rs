//! Pages whose commands are executed as written, and stub programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Returns the commands of a page: the blocks marked `sh`, in order, without the indentation of a list. Any other block is an
/// error, so nothing is left out.
pub(super) fn commands(page: &str) -> String {
    let mut blocks = String::new();
    let mut indentation: Option<&str> = None;
    for line in page.lines() {
        let text = line.trim_start();
        match (indentation, text.strip_prefix("```")) {
            (None, Some(kind)) => {
                assert_eq!(kind, "sh", "a block that is not executed: {line}");
                indentation = Some(&line[..line.len() - text.len()]);
            }
            (Some(_), Some(_)) => indentation = None,
            (Some(indentation), None) => {
                let command = line.strip_prefix(indentation);
                assert!(
                    command.is_some() || line.is_empty(),
                    "a line left of its block: {line}"
                );
                blocks.push_str(command.unwrap_or_default());
                blocks.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(indentation.is_none(), "a block without an end");
    blocks
}

pub(super) fn write_program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Returns a script that runs a program which ends with the shell that started it.
pub(super) fn guarded_program(binary: &Path) -> String {
    format!(
        "#!/bin/sh\nexec setpriv --pdeathsig KILL {} \"$@\"\n",
        binary.display()
    )
}

#[test]
fn block_that_is_not_executed_is_an_error() {
    assert_eq!(commands("a\n```sh\nb\n```\nc\n```sh\nd\n```\n"), "b\nd\n");
    assert!(std::panic::catch_unwind(|| commands("```text\nb\n```\n")).is_err());
    assert!(std::panic::catch_unwind(|| commands("```sh\nb\n")).is_err());
}

#[test]
fn block_in_a_list_loses_only_its_indentation() {
    let page = "1. a\n\n   ```sh\n   b <<END\n     c\n\n   END\n   ```\n";
    assert_eq!(commands(page), "b <<END\n  c\n\nEND\n");
    assert!(std::panic::catch_unwind(|| commands("   ```sh\n b\n   ```\n")).is_err());
}
