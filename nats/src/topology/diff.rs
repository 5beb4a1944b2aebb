//! What differs between the files and the exchange. Pure.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::admin::{Live, LiveStream};
use super::spec::{ConsumerSpec, StreamSpec, Topology};

/// What is to be done, in order. Empty of work when the exchange is as the files say.
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
    /// As the file says.
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
    let empty = Map::new();
    let used = live
        .and_then(|live| live.state.get("bytes"))
        .and_then(Value::as_i64)
        .unwrap_or(0);
    let danger = |name: &str, from: &Value, to: &Value| stream_danger(name, from, to, used);
    let object = Object::Stream {
        stream: spec.name.clone(),
    };
    change(
        object,
        spec.config(),
        live.map(|live| &live.config),
        &empty,
        danger,
    )
}

fn consumer_change(spec: &ConsumerSpec, live: Option<&Map<String, Value>>) -> Option<Change> {
    let empty = Map::new();
    let config = live.map(|live| live.get("config").and_then(Value::as_object).unwrap_or(&empty));
    let object = Object::Consumer {
        stream: spec.stream.clone(),
        consumer: spec.name.clone(),
    };
    change(object, spec.config(), config, &empty, consumer_danger)
}

fn change(
    object: Object,
    desired: Map<String, Value>,
    live: Option<&Map<String, Value>>,
    empty: &Map<String, Value>,
    danger: impl Fn(&str, &Value, &Value) -> Option<String>,
) -> Option<Change> {
    let fields: Vec<Field> = desired
        .iter()
        .filter_map(|(name, to)| {
            let from = live.unwrap_or(empty).get(name).cloned().unwrap_or(Value::Null);
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
    let kind = match live {
        None => Kind::Create,
        Some(_) if fields.is_empty() => return None,
        Some(_) if fields.iter().any(|field| field.danger.is_some()) => Kind::Destructive,
        Some(_) => Kind::Update,
    };
    // What the files do not decide stays as it is.
    let mut config = live.cloned().unwrap_or_default();
    config.extend(desired);
    Some(Change {
        kind,
        object,
        fields,
        config,
    })
}

/// The server leaves out what is empty, false or zero.
fn plain(value: &Value) -> Option<&Value> {
    let nothing = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    (!nothing).then_some(value)
}

fn stream_danger(name: &str, from: &Value, to: &Value, used: i64) -> Option<String> {
    let (before, after) = (limit(from), limit(to));
    match name {
        "storage" | "retention" if from != to => {
            Some("messages would be lost or deleted by being read".into())
        }
        "max_bytes" if after < used => Some(format!("{used} bytes are in use, more than the new limit")),
        "max_msgs_per_subject" | "max_msgs" if after < before => {
            Some("messages over the new limit would be deleted".into())
        }
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

fn consumer_danger(name: &str, from: &Value, to: &Value) -> Option<String> {
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

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream { stream } => write!(f, "stream {stream}"),
            Self::Consumer { stream, consumer } => write!(f, "consumer {consumer} of {stream}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            let sign = match change.kind {
                Kind::Create => '+',
                Kind::Update => '~',
                Kind::Destructive => '!',
            };
            writeln!(f, "{sign} {}", change.object)?;
            for field in &change.fields {
                match change.kind {
                    Kind::Create if plain(&field.to).is_none() => {}
                    Kind::Create => writeln!(f, "    {} = {}", field.name, field.to)?,
                    _ => writeln!(f, "    {} = {} -> {}", field.name, field.from, field.to)?,
                }
                if let Some(danger) = &field.danger {
                    writeln!(f, "      destructive: {danger}")?;
                }
            }
        }
        for object in &self.unlisted {
            writeln!(f, "? {object} is in no file; left alone")?;
        }
        if self.changes.is_empty() {
            writeln!(f, "the exchange is as the files say")?;
        }
        Ok(())
    }
}
