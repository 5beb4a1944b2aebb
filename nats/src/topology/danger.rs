//! Which changes could destroy or lose something, and why. Pure.

use serde_json::Value;

/// Of a stream that holds `used` bytes.
pub(super) fn of_stream(name: &str, from: &Value, to: &Value, used: i64) -> Option<String> {
    let (before, after) = (limit(from), limit(to));
    match name {
        "storage" | "retention" if from != to => {
            Some("messages would be lost or deleted by being read".into())
        }
        "max_bytes" if after < used => Some(format!("{used} bytes are in use, more than the new limit")),
        "max_msgs_per_subject" | "max_msgs" if after < before => {
            Some("messages over the new limit would be deleted".into())
        }
        "max_age" if after < before => Some("messages over the new age would be deleted".into()),
        "discard" if to == "old" && from != to => {
            Some("a full stream would forget instead of refusing".into())
        }
        "subjects" => removed(from, to),
        "num_replicas" if to.as_i64() < from.as_i64() => Some("fewer copies would remain".into()),
        "deny_delete" | "deny_purge" if from == true && to == false => {
            Some("messages could be removed afterwards".into())
        }
        "discard_new_per_subject" if from == true && to == false => {
            Some("a second outcome of a request would be taken".into())
        }
        _ => None,
    }
}

/// Of a consumer.
pub(super) fn of_consumer(name: &str, from: &Value, to: &Value) -> Option<String> {
    match name {
        "filter_subject" if from != to => {
            Some("messages would be skipped or handed to another recipient".into())
        }
        "ack_policy" | "deliver_policy" if from != to => {
            Some("messages would be skipped or settled unseen".into())
        }
        "max_deliver" if limit(to) < limit(from) => {
            Some("messages would be dropped after as many attempts".into())
        }
        _ => None,
    }
}

/// A limit as a number; none and -1 are the highest.
fn limit(value: &Value) -> i64 {
    match value.as_i64() {
        None | Some(..=0) => i64::MAX,
        Some(limit) => limit,
    }
}

fn removed(from: &Value, to: &Value) -> Option<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let kept = list(to);
    let gone: Vec<String> = list(from)
        .iter()
        .filter(|subject| !kept.contains(subject))
        .map(ToString::to_string)
        .collect();
    (!gone.is_empty()).then(|| format!("{} would be published nowhere", gone.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn change_with_data_loss_is_dangerous() {
        for (name, from, to) in [
            ("storage", json!("file"), json!("memory")),
            ("retention", json!("limits"), json!("workqueue")),
            ("discard", json!("new"), json!("old")),
            ("subjects", json!(["a", "b"]), json!(["a"])),
            ("max_bytes", json!(5000), json!(999)),
            ("max_msgs_per_subject", json!(-1), json!(1)),
            ("max_age", json!(0), json!(86_400_000_000_000_u64)),
            ("num_replicas", json!(3), json!(1)),
            ("deny_delete", json!(true), json!(false)),
            ("discard_new_per_subject", json!(true), json!(false)),
        ] {
            assert!(of_stream(name, &from, &to, 1000).is_some(), "{name}");
            let back = of_stream(name, &to, &from, 1000);
            assert_eq!(
                back.is_some(),
                ["storage", "retention"].contains(&name),
                "{name} back: {back:?}"
            );
        }
    }

    #[test]
    fn room_above_what_is_used_may_be_taken() {
        assert_eq!(of_stream("max_bytes", &json!(5000), &json!(1000), 1000), None);
    }

    #[test]
    fn consumer_change_that_skips_messages_is_dangerous() {
        assert!(of_consumer("filter_subject", &json!("data.a.>"), &json!("data.b.>")).is_some());
        assert!(of_consumer("max_deliver", &json!(-1), &json!(5)).is_some());
        assert!(of_consumer("max_deliver", &json!(5), &json!(-1)).is_none());
        assert!(of_consumer("ack_wait", &json!(1), &json!(2)).is_none());
    }
}
