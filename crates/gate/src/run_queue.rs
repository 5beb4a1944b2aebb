//! Checks the run queue before a quantum begins.
//!
//! Without idle-class scheduling our backend competes as an equal. A quantum therefore begins when the business is off
//! the processors, and not in the first instant after (Eggert and Touch's preemption interval). The check reads one
//! short file. It is meaningful only if the agent runs on the core's host; if the file is not available, the quantum
//! does not wait.

/// Returns the runnable tasks on all processors, this one included; `None` if they cannot be read.
pub(crate) fn runnable_tasks() -> Option<u32> {
    parse(&std::fs::read_to_string("/proc/loadavg").ok()?)
}

/// Parses the fourth field of `/proc/loadavg`: running/existing (proc(5)).
fn parse(text: &str) -> Option<u32> {
    let (running, _) = text.split_ascii_whitespace().nth(3)?.split_once('/')?;
    running.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loadavg_fourth_field_is_the_runnable_count() {
        assert_eq!(parse("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        assert_eq!(parse("0.20 0.18 0.12"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn runnable_tasks_include_this_one() {
        assert!(runnable_tasks().is_some_and(|running| running >= 1));
    }
}
