//! Formats a gate's status. Missing fields are left out.

use jiff::Timestamp;
use serde_json::Value;

/// Returns a string by its path; empty if it is missing.
pub(super) fn text<'a>(gate: &'a Value, path: &str) -> &'a str {
    gate.pointer(path).and_then(Value::as_str).unwrap_or("")
}

/// Returns a time by its path, with this number of decimals; as it is if it cannot be read.
pub(super) fn time(gate: &Value, path: &str, decimals: usize) -> String {
    let text = text(gate, path);
    text.parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| format!("{at:.decimals$}"))
}

/// Formats thousandths as percent: of a share with `per` 1, of percent with `per` 100.
pub(super) fn percent(gate: &Value, path: &str, per: u32) -> String {
    let milli = gate.pointer(path).and_then(Value::as_f64);
    milli.map_or("unknown".to_owned(), |milli| {
        format!("{} %", format_number(milli / 10.0 / f64::from(per)))
    })
}

/// Formats a number with at most one decimal.
fn format_number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A signal with its limits.
pub(super) struct Signal {
    /// Its name.
    pub(super) name: String,
    /// The last reading; `None` if it failed.
    pub(super) value: Option<f64>,
    /// Stop and resume.
    pub(super) limits: Option<(f64, f64)>,
    unit: String,
    failure: String,
}

/// Returns all signals with a limit or a reading.
pub(super) fn signals(gate: &Value) -> Vec<Signal> {
    let object = |path: &str| gate.pointer(path).and_then(Value::as_object);
    let names = object("/readings_milli")
        .into_iter()
        .chain(object("/limits"))
        .flat_map(|map| map.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let signal = |name: &String| {
        let reading = gate.get("readings_milli").and_then(|all| all.get(name));
        let limit = gate.get("limits").and_then(|all| all.get(name));
        let milli = |value: Option<&Value>| Some(value?.as_f64()? / 1e3);
        let limit_value = |key: &str| milli(limit.and_then(|limit| limit.get(key)));
        let unit = limit.and_then(|limit| limit.get("unit")?.as_str()).unwrap_or("");
        let failure = gate.get("failures").and_then(|all| all.get(name)?.as_str());
        Signal {
            name: name.clone(),
            value: milli(reading),
            limits: limit_value("stop_milli").zip(limit_value("resume_milli")),
            unit: if unit == "percent" { "%" } else { unit }.to_owned(),
            failure: failure.unwrap_or("not read yet").to_owned(),
        }
    };
    names.into_iter().map(signal).collect()
}

impl Signal {
    /// Formats the value with its unit.
    pub(super) fn reading(&self) -> String {
        match self.value {
            Some(value) => format!("{} {}", format_number(value), self.unit)
                .trim_end()
                .to_owned(),
            None => format!("no reading ({})", self.failure),
        }
    }

    /// Describes the signal in a sentence.
    pub(super) fn describe(&self) -> String {
        match (self.value, self.limits) {
            (None, _) => format!("{}: {}", self.name, self.reading()),
            (_, None) => format!("{} {}", self.name, self.reading()),
            (_, Some((stop, resume))) => format!(
                "{} {} (stop {}, resume {})",
                self.name,
                self.reading(),
                format_number(stop),
                format_number(resume)
            ),
        }
    }

    /// Draws a bar from 0 to 125 % of the stop limit, which is marked.
    pub(super) fn bar(&self, width: usize) -> String {
        let Some((stop, _)) = self.limits else {
            return " ".repeat(width);
        };
        let scale = if stop > 0.0 { stop * 1.25 } else { 1.0 };
        let cells = f64::from(u32::try_from(width).unwrap_or(u32::MAX));
        let position = |value: f64| value / scale * cells;
        let filled = position(self.value.unwrap_or(0.0));
        let cell = |index: u32| {
            let start = f64::from(index);
            if (start..start + 1.0).contains(&position(stop)) {
                '|'
            } else if start < filled {
                '#'
            } else {
                '.'
            }
        };
        (0..u32::try_from(width).unwrap_or(0)).map(cell).collect()
    }
}

/// Formats the harm and its budget.
pub(super) fn harm(gate: &Value) -> String {
    let budget = percent(gate, "/harm/budget_milli", 1);
    let estimate = gate.pointer("/harm/estimate_milli").and_then(Value::as_f64);
    if estimate.is_none() {
        return format!("not measured now, the budget is {budget}");
    }
    let (estimate, error) = (
        percent(gate, "/harm/estimate_milli", 1),
        percent(gate, "/harm/error_milli", 1),
    );
    format!("{estimate} ± {error} of a budget of {budget}")
}

/// Renders a sentence for each order in force.
pub(super) fn orders(gate: &Value) -> Vec<String> {
    let describe = |order: &Value| {
        let until = order.get("until").and_then(Value::as_str);
        let until = until.map_or("until it is revoked".to_owned(), |until| format!("until {until}"));
        format!("{} ({}; {until})", text(order, "/actor"), text(order, "/reason"))
    };
    let mut lines = Vec::new();
    if let Some(pause) = gate.pointer("/orders/pause").filter(|pause| pause.is_object()) {
        lines.push(format!("Paused by {}.", describe(pause)));
    }
    if let (Some(max_duty), Some(order)) = (
        gate.pointer("/orders/max_duty/0").and_then(Value::as_f64),
        gate.pointer("/orders/max_duty/1"),
    ) {
        lines.push(format!(
            "At most {} % of the time by {}.",
            format_number(max_duty * 100.0),
            describe(order)
        ));
    }
    lines
}

/// Describes the priority mode in force and the alternative.
pub(super) fn priority_mode(gate: &Value) -> String {
    match text(gate, "/priority_mode/mode") {
        "kernel_idle" => format!(
            "With the kernel's help ({}): the business runs first within microseconds; without it, short quanta and pauses would protect it.",
            text(gate, "/priority_mode/detail")
        ),
        "normal" => format!(
            "Without the kernel's help ({}): short quanta and pauses protect the business; with it, several times as many rows would move with less harm.",
            text(gate, "/priority_mode/why")
        ),
        _ => "The priority mode is not known.".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::commands) fn sample() -> Value {
    serde_json::json!({
        "state": "closed", "since": "2026-01-01T00:00:00Z", "reason_kind": "over_limit",
        "reason": "host_cpu 85.0 % >= 70.0 % (stop limit)", "not_idle_since": "2026-01-01T00:00:00Z",
        "readings_milli": { "host_cpu": 85000, "disk": null }, "failures": { "disk": "gone" },
        "limits": {
            "host_cpu": { "stop_milli": 70000, "resume_milli": 50000, "unit": "percent" },
            "disk": { "stop_milli": 80000, "resume_milli": 50000, "unit": "percent" },
        },
        "duty_milli": 0, "next_sample_in_ms": 80,
        "harm": { "budget_milli": 30, "estimate_milli": 12, "error_milli": 4 },
        "priority_mode": { "mode": "normal", "why": "no helper is configured" },
        "orders": { "unread": null, "pause": null,
            "max_duty": [0.2, { "actor": "li", "reason": "audit week", "until": "2026-01-02T00:00:00Z" }] },
        "history": [{ "at": "2026-01-01T00:00:00Z", "state": "closed", "reason": "host_cpu 85.0 % >= 70.0 % (stop limit)" }],
        "policy": { "loaded_at": "2026-01-01T00:00:00Z", "refused": null }, "alarm": null,
    })
}
