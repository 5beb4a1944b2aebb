//! PURE: the rules of the chains of acts, one chain for each writer.

use schemas::audit::AuditEntry;
use schemas::digest::Digest;

/// One writer's chain, as far as it holds.
#[derive(Debug, Default)]
pub struct Entries {
    last: Option<(u64, Digest)>,
    /// How many hold.
    pub count: u64,
}

impl Entries {
    /// Takes the writer's next entry, its signature checked before.
    ///
    /// # Errors
    /// The rule it breaks, in words.
    pub fn push(&mut self, entry: &AuditEntry, digest: Digest) -> Result<(), String> {
        let expected = self
            .last
            .map_or((1, None), |(number, digest)| (number + 1, Some(digest)));
        if (entry.number, entry.previous) != expected {
            return Err(format!(
                "entry {} does not follow entry {}",
                entry.number,
                expected.0 - 1
            ));
        }
        self.last = Some((entry.number, digest));
        self.count += 1;
        Ok(())
    }
}
