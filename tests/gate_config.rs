//! Gate configurations for tests that do not test the gate.

/// The body of a `[gate]` that is closed while a file `stop` exists, and otherwise fully open, regardless of the machine's
/// load. The duty cycle next to a business, and late samples, have their own tests.
pub(crate) const STOP_FILE_GATE: &str = "interval = \"50ms\"\nread_timeout = \"60s\"\nstale_after = \"60s\"\n\
    hold = \"200ms\"\ngood_samples = 2\n\
    duty = { probation_duty = 100, min = 100, max = 100, max_with_kernel_idle = 100, max_unmeasured = 100, \
    harm_budget = 1000, max_deferral = \"0ms\" }\n\
    [gate.signals.host_cpu]\nenabled = false\n[gate.signals.memory]\nenabled = false\n\
    [gate.signals.stop_file]\npath = \"stop\"";

/// Returns the body of a `[gate]` that does not lower the agent's own priority, unless the body configures it. At nice 19 an
/// agent is starved by the tests that run at the same time.
pub(crate) fn with_normal_priority(gate: &str) -> String {
    if gate.contains("[priority]") {
        gate.to_owned()
    } else {
        format!("{gate}\n[priority]\nown = false")
    }
}
