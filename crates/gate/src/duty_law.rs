//! The parameters of the duty cycle, which [`crate::law`] applies.

use std::time::Duration;

use crate::verdict::DEFAULT_QUANTUM;

/// The parameters of the duty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DutyLaw {
    /// Accepted slowdown of the business's processes, by time on or waiting for a processor; 0.05 is 5 %.
    pub harm_budget: f64,
    /// Duration of the probation after an opening.
    pub probation: Duration,
    /// The duty on probation.
    pub probation_duty: f64,
    /// Minimum duty while the gate is open.
    pub min_duty: f64,
    /// Maximum duty during business activity, in normal mode.
    pub max_duty: f64,
    /// Maximum duty during business activity, in kernel-idle mode. Below 1, because a preempted backend that holds a
    /// lock of the database delays the business: rarely, but in more than one transaction in a hundred at full duty.
    pub max_duty_kernel_idle: f64,
    /// Maximum duty in normal mode if the harm cannot be measured.
    pub max_duty_unmeasured: f64,
    /// Increase after a round within the budget.
    pub increase: f64,
    /// The same in kernel-idle mode.
    pub increase_kernel_idle: f64,
    /// Factor after a round over the budget.
    pub decrease: f64,
    /// Ticks per round.
    pub round: u32,
    /// Share of control ticks.
    pub control_ticks: f64,
    /// How long the gate stays closed when the minimum duty is harmful; doubles each time.
    pub backoff: Duration,
    /// Target duration of a quantum during business activity.
    pub quantum_busy: Duration,
    /// Target duration of a quantum without it.
    pub quantum_idle: Duration,
    /// How long a quantum is deferred at most while another process is runnable, in normal mode. During steady activity
    /// a process always is; then only the duty applies.
    pub max_deferral: Duration,
}

impl Default for DutyLaw {
    fn default() -> Self {
        Self {
            harm_budget: 0.05,
            probation: Duration::from_millis(300),
            probation_duty: 0.05,
            min_duty: 0.01,
            max_duty: 0.10,
            max_duty_kernel_idle: 0.45,
            max_duty_unmeasured: 0.05,
            increase: 0.05,
            increase_kernel_idle: 0.25,
            decrease: 0.5,
            round: 10,
            control_ticks: 0.2,
            backoff: Duration::from_secs(10),
            quantum_busy: Duration::from_millis(1),
            quantum_idle: DEFAULT_QUANTUM,
            max_deferral: Duration::from_millis(20),
        }
    }
}
