//! What differs between the files and the exchange. Pure.

use serde::Serialize;
use serde_json::{Map, Value};

use super::admin::{Live, LiveStream};
use super::danger::{of_consumer, of_stream};
use super::spec::{ConsumerSpec, StreamSpec, Topology};

/// The changes to apply, in order. Empty if the exchange matches the files.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// Streams first, then consumers.
    pub changes: Vec<Change>,
    /// Streams and consumers that no file describes; they are left alone.
    pub unlisted: Vec<Object>,
}

/// A stream or a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Object {
    /// A stream.
    Stream {
        /// Its name.
        stream: String,
    },
    /// A consumer.
    Consumer {
        /// Of this stream.
        stream: String,
        /// Its name.
        consumer: String,
    },
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is not there.
    Create,
    /// It differs.
    Update,
    /// It differs, and the change could destroy or lose something: done only with force.
    Destructive,
}

/// One change.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// What kind.
    pub kind: Kind,
    /// Of what.
    pub object: Object,
    /// What differs.
    pub fields: Vec<Field>,
    /// The whole configuration to be sent.
    #[serde(skip)]
    pub(super) config: Map<String, Value>,
}

/// One setting that differs.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    /// The server's word for it.
    pub name: String,
    /// As it is; null when it is not there.
    pub from: Value,
    /// The value in the file.
    pub to: Value,
    /// Why the change is destructive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub danger: Option<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes that are done only with force.
    pub fn destructive(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.kind == Kind::Destructive)
    }
}

/// Compares.
#[must_use]
pub fn diff(desired: &Topology, live: &Live) -> Plan {
    let mut plan = Plan::default();
    for spec in &desired.streams {
        plan.changes.extend(stream_change(spec, find(live, &spec.name)));
    }
    for spec in &desired.consumers {
        let found = find(live, &spec.stream).and_then(|stream| {
            stream
                .consumers
                .iter()
                .find(|consumer| text(consumer, "name") == spec.name)
        });
        plan.changes.extend(consumer_change(spec, found));
    }
    for stream in &live.streams {
        let name = text(&stream.config, "name").to_owned();
        if !desired.streams.iter().any(|spec| spec.name == name) {
            plan.unlisted.push(Object::Stream { stream: name.clone() });
        }
        for consumer in &stream.consumers {
            let consumer = text(consumer, "name").to_owned();
            if !desired
                .consumers
                .iter()
                .any(|spec| spec.stream == name && spec.name == consumer)
            {
                plan.unlisted.push(Object::Consumer {
                    stream: name.clone(),
                    consumer,
                });
            }
        }
    }
    plan
}

fn find<'a>(live: &'a Live, name: &str) -> Option<&'a LiveStream> {
    live.streams
        .iter()
        .find(|stream| text(&stream.config, "name") == name)
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn stream_change(spec: &StreamSpec, live: Option<&LiveStream>) -> Option<Change> {
    let used = live
        .and_then(|live| live.state.get("bytes"))
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let danger = |name: &str, from: &Value, to: &Value| of_stream(name, from, to, used);
    let object = Object::Stream {
        stream: spec.name.clone(),
    };
    let live = live.map(|live| &live.config);
    change(object, spec.config(), live, danger)
}

fn consumer_change(spec: &ConsumerSpec, live: Option<&Map<String, Value>>) -> Option<Change> {
    let empty = Map::new();
    let config = live.map(|live| live.get("config").and_then(Value::as_object).unwrap_or(&empty));
    let object = Object::Consumer {
        stream: spec.stream.clone(),
        consumer: spec.name.clone(),
    };
    change(object, spec.config(), config, of_consumer)
}

/// Returns whether a value is the server's default.
fn is_default(name: &str, value: &Value) -> bool {
    match name {
        "max_consumers" => value.as_i64() == Some(-1),
        "duplicate_window" => value.as_i64() == Some(120_000_000_000),
        "max_waiting" => value.as_i64() == Some(512),
        "compression" => value.as_str() == Some("none"),
        _ => plain(value).is_none(),
    }
}

/// What the files leave to the operator: labels, where a stream is placed, and a pause.
const KEPT: [&str; 3] = ["metadata", "placement", "pause_until"];

/// A setting of the server that no file has, and that is not as the server would set it.
fn is_foreign(name: &str, value: &Value, desired: &Map<String, Value>) -> bool {
    !desired.contains_key(name) && !KEPT.contains(&name) && !is_default(name, value)
}

fn change(
    object: Object,
    desired: Map<String, Value>,
    live: Option<&Map<String, Value>>,
    danger: impl Fn(&str, &Value, &Value) -> Option<String>,
) -> Option<Change> {
    let empty = Map::new();
    let mut fields: Vec<Field> = desired
        .iter()
        .filter_map(|(name, to)| {
            let from = live.unwrap_or(&empty).get(name).cloned().unwrap_or(Value::Null);
            let same = live.is_some() && plain(&from) == plain(to);
            let danger = live.and_then(|_| danger(name, &from, to));
            (!same).then(|| Field {
                name: name.clone(),
                from,
                to: to.clone(),
                danger,
            })
        })
        .collect();
    // A setting that no file has returns to the server's default.
    let foreign = live.into_iter().flatten();
    let foreign = foreign.filter(|(name, value)| is_foreign(name, value, &desired));
    fields.extend(foreign.map(|(name, from)| Field {
        name: name.clone(),
        from: from.clone(),
        to: Value::Null,
        danger: None,
    }));
    let kind = match live {
        None => Kind::Create,
        Some(_) if fields.is_empty() => return None,
        Some(_) if fields.iter().any(|field| field.danger.is_some()) => Kind::Destructive,
        Some(_) => Kind::Update,
    };
    let mut config = live.cloned().unwrap_or_default();
    config.retain(|name, value| !is_foreign(name, value, &desired));
    config.extend(desired);
    Some(Change {
        kind,
        object,
        fields,
        config,
    })
}

/// The server leaves out what is empty, false or zero.
pub(super) fn plain(value: &Value) -> Option<&Value> {
    let nothing = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    (!nothing).then_some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::topology::embedded;

    fn shipped() -> Topology {
        embedded(&[schemas::name::RecipientName::new("insurer-a").unwrap()]).unwrap()
    }

    /// The exchange as the server would describe it after applying: it leaves out what is empty.
    fn applied(topology: &Topology) -> Live {
        let lean = |mut config: Map<String, Value>| {
            config.retain(|_, value| plain(value).is_some());
            config
        };
        let streams = topology.streams.iter().map(|spec| {
            let consumers = topology
                .consumers
                .iter()
                .filter(|consumer| consumer.stream == spec.name);
            let described = consumers.map(|consumer| {
                let described = json!({"name": consumer.name, "config": lean(consumer.config())});
                crate::topology::admin::object(Some(described))
            });
            LiveStream {
                config: lean(spec.config()),
                state: Map::from_iter([("bytes".to_owned(), json!(1000))]),
                cluster: None,
                consumers: described.collect(),
            }
        });
        Live {
            streams: streams.collect(),
        }
    }

    #[test]
    fn diff_is_full_for_empty_and_empty_for_applied_exchange() {
        let all = diff(&shipped(), &Live::default());
        // The leases; an audit stream for each of three parties, orders and status of two; nine of a recipient, and two consumers.
        assert_eq!(all.changes.len(), 1 + 3 + 2 * 2 + 9 + 2);
        assert!(all.changes.iter().all(|change| change.kind == Kind::Create));
        let none = diff(&shipped(), &applied(&shipped()));
        assert!(none.is_empty() && none.unlisted.is_empty(), "{none}");
    }

    #[test]
    fn diff_keeps_settings_that_files_do_not_set() {
        let mut live = applied(&shipped());
        live.streams[0]
            .config
            .insert("metadata".into(), json!({"owner": "ops"}));
        live.streams[0].config.insert("max_bytes".into(), json!(5000));
        let plan = diff(&shipped(), &live);
        assert_eq!(plan.changes.len(), 1);
        assert_eq!(plan.changes[0].kind, Kind::Update);
        assert_eq!(plan.changes[0].config["metadata"]["owner"], "ops");
    }

    /// Manual changes at the exchange are shown and reverted, above all those of limits.
    #[test]
    fn diff_shows_every_different_setting() {
        for (name, value) in [
            ("max_bytes", json!(5000)),
            ("max_msg_size", json!(5000)),
            ("max_msgs", json!(7)),
            ("max_msgs_per_subject", json!(7)),
            ("max_age", json!(7)),
            ("max_consumers", json!(7)),
            ("duplicate_window", json!(7)),
            ("compression", json!("s2")),
            ("discard", json!("old")),
            ("discard_new_per_subject", json!(true)),
            ("republish", json!({"src": "data.>", "dest": "stolen.>"})),
            ("mirror", json!({"name": "OTHER"})),
            ("sources", json!([{"name": "OTHER"}])),
            ("subject_transform", json!({"src": "data.>", "dest": "stolen.>"})),
            ("allow_rollup_hdrs", json!(true)),
            ("allow_msg_ttl", json!(true)),
            ("allow_msg_schedules", json!(true)),
            ("persist_mode", json!("async")),
            ("sealed", json!(true)),
            ("no_ack", json!(true)),
            ("consumer_limits", json!({"max_ack_pending": 1})),
            ("of_a_later_server", json!(1)),
        ] {
            let mut live = applied(&shipped());
            let stream = live
                .streams
                .iter_mut()
                .find(|stream| stream.config["name"] == "DATA_insurer-a")
                .unwrap();
            stream.config.insert(name.into(), value);
            let plan = diff(&shipped(), &live);
            assert_eq!(plan.changes.len(), 1, "{name}");
            assert_eq!(plan.changes[0].fields[0].name, name);
        }
        for (name, value) in [
            ("max_ack_pending", json!(7)),
            ("max_waiting", json!(7)),
            ("max_batch", json!(7)),
            ("max_expires", json!(7)),
            ("deliver_subject", json!("_INBOX_other")),
            ("headers_only", json!(true)),
            ("inactive_threshold", json!(7)),
        ] {
            let mut live = applied(&shipped());
            let consumer = live
                .streams
                .iter_mut()
                .find_map(|stream| stream.consumers.first_mut());
            let consumer = consumer.unwrap()["config"].as_object_mut().unwrap();
            consumer.insert(name.into(), value);
            let plan = diff(&shipped(), &live);
            assert_eq!(plan.changes.len(), 1, "{name}");
        }
    }

    /// An age limit that was set manually is removed.
    #[test]
    fn diff_removes_an_age_limit() {
        let mut live = applied(&shipped());
        live.streams[0]
            .config
            .insert("max_age".into(), json!(60_000_000_000_i64));
        let plan = diff(&shipped(), &live);
        assert_eq!(plan.changes[0].fields[0].name, "max_age");
        assert_eq!(plan.changes[0].kind, Kind::Update);
    }
}
