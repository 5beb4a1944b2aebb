//! Gates of tests that are about something else.

/// The body of a `[gate]` that is shut while there is a file called `stop`, and otherwise wholly open, whatever else
/// the machine does meanwhile: how much of the time a gate gives beside a business has tests of its own, and so has a
/// sample that is late.
pub(crate) const BY_FILE: &str = "interval = \"50ms\"\nread_timeout = \"60s\"\nstale_after = \"60s\"\n\
    hold = \"200ms\"\ngood_samples = 2\n\
    duty = { probation_duty = 100, least = 100, most = 100, most_with_kernel = 100, most_unmeasured = 100, \
    harm_budget = 1000, patience = \"0ms\" }\n\
    [gate.signals.host_cpu]\nenabled = false\n[gate.signals.memory]\nenabled = false\n\
    [gate.signals.stop_file]\npath = \"stop\"";

/// Returns the body of a `[gate]` with the agent's own priority left as it is, unless the body configures it. At nice 19 an agent
/// is starved by the tests that run at the same time.
pub(crate) fn with_equal_priority(gate: &str) -> String {
    if gate.contains("[priority]") {
        gate.to_owned()
    } else {
        format!("{gate}\n[priority]\nown = false")
    }
}
