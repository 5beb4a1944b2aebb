//! A look at the run queue before a quantum begins.
//!
//! Without the kernel's help our backend competes as an equal, so a quantum should begin when the
//! business is off the processors, and not in the first instant after (Eggert and Touch's
//! preemption interval). The look is one short file; it says something only where the agent runs
//! beside the core, and where it says nothing, nobody waits for it.

/// Tasks that run or could run now, on all processors, this one included; none where that cannot
/// be seen.
pub(crate) fn running() -> Option<u32> {
    parse(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

/// The fourth field of `/proc/loadavg`: running/existing (proc(5)).
fn parse(text: &str) -> Option<u32> {
    let (running, _) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    running.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_field_counts_who_runs() {
        assert_eq!(parse("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(parse("0.20 0.18 0.12"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_host_says_at_least_ourselves() {
        assert!(running().is_some_and(|running| running >= 1));
    }
}
