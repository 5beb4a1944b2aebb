//! No image of this process's memory on a disk.
//!
//! Seeds, passwords and rows are in it. A core dump, or another process of the same account that
//! attaches to this one, would carry them off. What holds one secret wipes it when it is dropped
//! ([`SecretText`](crate::config::SecretText), the keys themselves); this is for all the rest.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and that one without privileges attaches to it. To be called
/// before anything secret is read.
///
/// Both are needed: the limit also holds for what this process starts, and the kernel hands a dump
/// to a program (`core_pattern` with a `|`) regardless of the limit.
///
/// # Errors
/// When the kernel takes neither; the process may go on.
pub fn forbid_dumps() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(limited?)
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn neither_a_file_nor_a_program_gets_a_dump() -> std::io::Result<()> {
        assert_eq!(dumpable_behavior()?, DumpableBehavior::Dumpable);
        forbid_dumps()?;
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior()?, DumpableBehavior::NotDumpable);
        Ok(())
    }
}
