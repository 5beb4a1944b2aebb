//! PURE: what a gate's status says, in words. Lenient: a part that is not there says nothing.

use serde_json::Value;

/// A text by its path, empty where it is not there.
pub(super) fn text<'a>(gate: &'a Value, path: &str) -> &'a str {
    gate.pointer(path).and_then(Value::as_str).unwrap_or("")
}

/// Thousandths as percent: of a share with `per` 1, of percent with `per` 100.
pub(super) fn percent(gate: &Value, path: &str, per: u32) -> String {
    let milli = gate.pointer(path).and_then(Value::as_f64);
    milli.map_or("unknown".to_owned(), |milli| {
        format!("{} %", short(milli / 10.0 / f64::from(per)))
    })
}

/// A number with at most one decimal.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A signal beside its limits.
pub(super) struct Signal {
    /// Its name.
    pub(super) name: String,
    /// The last reading; none where it failed.
    pub(super) value: Option<f64>,
    /// Stop and resume.
    pub(super) limits: Option<(f64, f64)>,
    unit: String,
    failure: String,
}

/// All signals that have a limit or a reading.
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
        let of = |key: &str| milli(limit.and_then(|limit| limit.get(key)));
        let unit = limit.and_then(|limit| limit.get("unit")?.as_str()).unwrap_or("");
        let failure = gate.get("failures").and_then(|all| all.get(name)?.as_str());
        Signal {
            name: name.clone(),
            value: milli(reading),
            limits: of("stop_milli").zip(of("resume_milli")),
            unit: if unit == "percent" { "%" } else { unit }.to_owned(),
            failure: failure.unwrap_or("not read yet").to_owned(),
        }
    };
    names.into_iter().map(signal).collect()
}

impl Signal {
    /// The value with its unit.
    pub(super) fn reading(&self) -> String {
        match self.value {
            Some(value) => format!("{} {}", short(value), self.unit).trim_end().to_owned(),
            None => format!("no reading ({})", self.failure),
        }
    }

    /// For a sentence.
    pub(super) fn words(&self) -> String {
        match (self.value, self.limits) {
            (None, _) => format!("{}: {}", self.name, self.reading()),
            (_, None) => format!("{} {}", self.name, self.reading()),
            (_, Some((stop, resume))) => format!(
                "{} {} (stop {}, resume {})",
                self.name,
                self.reading(),
                short(stop),
                short(resume)
            ),
        }
    }

    /// A bar from 0 to a little over the stop limit, which is marked.
    pub(super) fn bar(&self, width: usize) -> String {
        let Some((stop, _)) = self.limits else {
            return " ".repeat(width);
        };
        let scale = if stop > 0.0 { stop * 1.25 } else { 1.0 };
        let cells = f64::from(u32::try_from(width).unwrap_or(u32::MAX));
        let at = |value: f64| value / scale * cells;
        let filled = at(self.value.unwrap_or(0.0));
        let cell = |place: u32| {
            let place = f64::from(place);
            if (place..place + 1.0).contains(&at(stop)) {
                '|'
            } else if place < filled {
                '#'
            } else {
                '.'
            }
        };
        (0..u32::try_from(width).unwrap_or(0)).map(cell).collect()
    }
}

/// The harm beside its budget.
pub(super) fn harm(gate: &Value) -> String {
    let budget = percent(gate, "/harm/budget_milli", 1);
    let known = gate.pointer("/harm/estimate_milli").and_then(Value::as_f64);
    if known.is_none() {
        return format!("not measured now, the budget is {budget}");
    }
    let (estimate, error) = (
        percent(gate, "/harm/estimate_milli", 1),
        percent(gate, "/harm/error_milli", 1),
    );
    format!("{estimate} ± {error} of a budget of {budget}")
}

/// A sentence for each order in force.
pub(super) fn orders(gate: &Value) -> Vec<String> {
    let by = |standing: &Value| {
        let until = standing.get("until").and_then(Value::as_str);
        let until = until.map_or("until it is taken back".to_owned(), |until| {
            format!("until {until}")
        });
        format!(
            "{} ({}; {until})",
            text(standing, "/actor"),
            text(standing, "/reason")
        )
    };
    let mut lines = Vec::new();
    if let Some(pause) = gate.pointer("/orders/pause").filter(|pause| pause.is_object()) {
        lines.push(format!("Paused by {}.", by(pause)));
    }
    if let (Some(most), Some(standing)) = (
        gate.pointer("/orders/most/0").and_then(Value::as_f64),
        gate.pointer("/orders/most/1"),
    ) {
        lines.push(format!(
            "At most {} % of the time by {}.",
            short(most * 100.0),
            by(standing)
        ));
    }
    lines
}

/// The regime in force, and what the other would bring.
pub(super) fn regime(gate: &Value) -> String {
    match text(gate, "/regime/regime") {
        "kernel" => format!(
            "With the kernel's help ({}): the business goes first within microseconds; without it, short quanta and pauses would have to do.",
            text(gate, "/regime/detail")
        ),
        "bare" => format!(
            "Without the kernel's help ({}): short quanta and pauses protect the business; with it, several times the rows would move at less harm.",
            text(gate, "/regime/why")
        ),
        _ => "The regime is not known.".to_owned(),
    }
}

#[cfg(test)]
pub(in crate::commands) fn sample() -> Value {
    serde_json::json!({
        "state": "shut", "since": "2026-01-01T00:00:00Z", "reason_kind": "over_limit",
        "reason": "host_cpu 85.0 % >= 70.0 % (stop limit)", "not_idle_since": "2026-01-01T00:00:00Z",
        "readings_milli": { "host_cpu": 85000, "disk": null }, "failures": { "disk": "gone" },
        "limits": {
            "host_cpu": { "stop_milli": 70000, "resume_milli": 50000, "unit": "percent" },
            "disk": { "stop_milli": 80000, "resume_milli": 50000, "unit": "percent" },
        },
        "duty_milli": 0, "next_sample_in_ms": 80,
        "harm": { "budget_milli": 30, "estimate_milli": 12, "error_milli": 4 },
        "regime": { "regime": "bare", "why": "no helper is configured" },
        "orders": { "unread": null, "pause": null,
            "most": [0.2, { "actor": "li", "reason": "audit week", "until": "2026-01-02T00:00:00Z" }] },
        "history": [{ "at": "2026-01-01T00:00:00Z", "state": "shut", "reason": "host_cpu 85.0 % >= 70.0 % (stop limit)" }],
        "policy": { "loaded_at": "2026-01-01T00:00:00Z", "refused": null }, "alarm": null,
    })
}
