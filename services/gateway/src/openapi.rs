//! The description of the interface in OpenAPI 3.1, made from the handlers.
//!
//! - [`responses`] the responses that handlers have in common
//! - [`links`] which operation follows another one

mod links;
pub(crate) mod responses;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;
use web::interface::header::REQUEST_ID;
use web::interface::problem::{Problem, ProblemKind};
use web::interface::{body, media, path};

use crate::routes::MAX_FILTER;

/// What each name in a path means.
const PATH_PARAMETERS: &[(&str, &str)] = &[
    ("recipient", "The name of the recipient."),
    ("feed", "The name of the feed."),
    ("queue", "`chunks` or `replies`."),
    ("id", "The id of the request, such as `20260131-abcdefgh`."),
    ("attempt", "The attempt of the answer, counted from 1."),
    ("number", "The number of the part in its attempt, counted from 1."),
    ("officer", "The name of the officer."),
    ("source", "The name of the source."),
    ("party", "The name of the party."),
    ("writer", "The name of the writer of the audit entries."),
    (
        "stream",
        "The first token of the stream's subjects, such as `data`.",
    ),
];

/// A name of the alphabet of `schemas::name`.
const NAME: &str = "^[a-z][a-z0-9_-]{0,63}$";

/// The id of a request: a day of the calendar and 8 to 40 characters. The 29th of February is in it for every year.
const REQUEST_ID_PATTERN: &str = "^[0-9]{4}((0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])|(0[469]|11)(0[1-9]|[12][0-9]|30)|02(0[1-9]|[12][0-9]))-[a-z0-9]{8,40}$";

/// The largest sequence, count or number of seconds in a query.
const MAX_NUMBER: u64 = u64::MAX;

/// An ETag as it is given back: a sequence in quotation marks.
const SEQUENCE_TAG: &str = "^\"(0|[1-9][0-9]{0,18})\"$";

/// Who must name the recipient.
const RECIPIENT: &str = "The recipient whose feed or request is meant. Required of the bureau and the auditor, who are answered with \
                         400 without it. A recipient leaves it out, or names itself; another name is answered with 403.";

/// A cursor of a feed: see `web::interface::cursor`.
const CURSOR: &str = "^(0|[1-9][0-9]{0,8})[.](0|[1-9][0-9]{0,17})[.](0|[1-9][0-9]{0,17})[.][0-9a-f]{16}$";

/// Completes the description that the handlers make.
pub(crate) fn document(api: &OpenApi) -> Value {
    let mut document = serde_json::to_value(api).unwrap_or_else(|_| json!({}));
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Slacktide exchange gateway",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The exchange over HTTP. The gateway passes signed messages on; it neither signs nor reads them.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["components"] = json!({
        "schemas": schemas(),
        "responses": {"Problem": problem_response()},
        "securitySchemes": {
            "certificate": {"type": "mutualTLS", "description": "A client certificate of the party."},
            "token": {"type": "http", "scheme": "bearer", "description": "A token of the party."},
        },
    });
    document["security"] = json!([{"certificate": []}, {"token": []}]);
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            let operations = item.as_object_mut().into_iter().flatten();
            for operation in operations.filter_map(|(_, operation)| operation.as_object_mut()) {
                complete(path, operation);
            }
            if let Some(item) = item.as_object_mut() {
                links::link(path, item);
            }
        }
    }
    links::link_request(
        &mut document,
        path::REQUESTS,
        &[("State", path::REQUEST), ("Result", path::RESULT)],
    );
    document
}

/// Adds to one operation what follows from its path and its responses.
fn complete(path: &str, operation: &mut Map<String, Value>) {
    let mut parameters: Vec<Value> = path_names(path).map(path_parameter).collect();
    let given = operation.remove("parameters");
    parameters.extend(
        given
            .and_then(|given| given.as_array().cloned())
            .unwrap_or_default(),
    );
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let is_conditional = responses.get("428").is_some();
    let is_once = responses.get("201").is_some();
    if is_conditional && is_once {
        let description = "Must be `*`: the resource accepts one message.";
        parameters.push(json!({"name": "If-None-Match", "in": "header", "required": true,
            "description": description, "schema": {"type": "string", "const": "*"}}));
    } else if is_conditional {
        let description = "The ETag of the last read; `\"0\"` if there was no message.";
        parameters.push(json!({"name": "If-Match", "in": "header", "required": true,
            "description": description, "schema": {"type": "string", "pattern": SEQUENCE_TAG}}));
    }
    if let Some(responses) = responses.as_object_mut() {
        let problem = json!({"$ref": "#/components/responses/Problem"});
        responses.entry("default").or_insert(problem);
    }
    for parameter in &mut parameters {
        if parameter["in"] == "query"
            && let Some(schema) = query_schema(parameter["name"].as_str().unwrap_or_default())
        {
            parameter["schema"] = schema;
        }
        if parameter["name"] == "Idempotency-Key" {
            parameter["schema"] = json!({"type": "string", "minLength": 1});
        }
        if parameter["in"] == "query" && parameter["name"] == "recipient" {
            parameter["description"] = json!(RECIPIENT);
        }
    }
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = operation.get_mut("requestBody") {
        body["required"] = json!(true);
    }
    let content = operation
        .get_mut("requestBody")
        .and_then(|body| body.get_mut("content"));
    if let Some(content) = content.and_then(|content| content.get_mut(media::MESSAGE)) {
        *content =
            json!({"schema": {"type": "string", "format": "binary", "contentMediaType": media::MESSAGE}});
    }
}

/// Returns the names in braces.
pub(crate) fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn path_parameter(name: &str) -> Value {
    let description = PATH_PARAMETERS.iter().find(|(known, _)| *known == name);
    let description = description.map_or("", |(_, description)| *description);
    let schema = match name {
        "attempt" | "number" => json!({"type": "integer", "minimum": 1, "maximum": u32::MAX}),
        "id" => json!({"type": "string", "pattern": REQUEST_ID_PATTERN}),
        "queue" => json!({"type": "string", "enum": ["chunks", "replies"]}),
        "stream" => json!({"type": "string", "enum": path::stream_names().collect::<Vec<_>>()}),
        _ => json!({"type": "string", "pattern": NAME}),
    };
    json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
}

/// Returns the schema of a query parameter whose text has a form, so that a client made from the description sends no other.
fn query_schema(name: &str) -> Option<Value> {
    Some(match name {
        "recipient" => json!({"type": "string", "pattern": NAME}),
        "after" => json!({"type": "string", "pattern": CURSOR}),
        "from_time" => json!({"type": "string", "format": "date-time"}),
        "stream" => json!({"type": "string", "enum": ["request", "confirm"]}),
        "filter" => json!({"type": "string", "pattern": filter_pattern(), "maxLength": MAX_FILTER}),
        "from" | "max" | "skip" | "wait" => json!({"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}),
        _ => return None,
    })
}

/// Returns the form of a filter: a stream, a party, and further tokens or wildcards.
fn filter_pattern() -> String {
    let streams = path::stream_names().collect::<Vec<_>>().join("|");
    format!("^({streams})[.][a-z][a-z0-9_-]{{0,63}}([.]([a-z0-9_-]+|[*]))*([.]>)?$")
}

/// Returns the schemas of the JSON bodies.
fn schemas() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    generator.subschema_for::<Problem>();
    generator.subschema_for::<body::Settle>();
    generator.subschema_for::<body::QueueState>();
    generator.subschema_for::<body::ReceiptedLanes>();
    generator.subschema_for::<body::RequestIds>();
    generator.subschema_for::<body::Parties>();
    generator.subschema_for::<body::Ping>();
    generator.subschema_for::<exchange::StreamState>();
    Value::Object(generator.take_definitions(true))
}

/// Returns the response of every error, with all types of problems.
fn problem_response() -> Value {
    let kinds = ProblemKind::all().map(|kind| {
        let (status, name, title, remedy) = (kind.status(), kind.name(), kind.title(), kind.remedy());
        format!("- {status} `{name}`: {title}; {remedy}")
    });
    json!({
        "description": format!("A problem (RFC 9457), one of:\n\n{}", kinds.collect::<Vec<_>>().join("\n")),
        "headers": {
            REQUEST_ID: {"description": "The id of the request.", "schema": {"type": "string"}},
            "Retry-After": {"description": "With 429, 503 and 507: seconds.", "schema": {"type": "integer"}},
        },
        "content": {media::PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::docs_page::example;

    fn completed() -> Value {
        document(&crate::routes::router().split_for_parts().1)
    }

    /// Returns the operations with their paths and methods.
    fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
        let paths = document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        });
        operations.collect()
    }

    #[test]
    fn openapi_has_each_route_of_the_interface() {
        let source = include_str!("../../../crates/web/src/interface/path.rs");
        let constants = source.lines().filter_map(|line| line.strip_prefix("pub const "));
        let templates: Vec<&str> = constants.filter_map(|line| line.split('"').nth(1)).collect();
        assert!(templates.len() >= 28, "{templates:?}");
        let document = completed();
        let paths = document["paths"].as_object().unwrap();
        let missing: Vec<&str> = templates
            .iter()
            .copied()
            .filter(|path| !paths.contains_key(*path))
            .collect();
        assert!(missing.is_empty(), "routes without a handler: {missing:?}");
        for path in paths.keys() {
            assert!(templates.contains(&path.as_str()), "{path} is not in path.rs");
        }
    }

    #[test]
    fn openapi_texts_in_parameters_have_a_form() {
        let document = completed();
        for (path, method, operation) in operations(&document) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let has_form = ["pattern", "enum", "format", "const", "minimum"]
                    .iter()
                    .any(|key| schema.get(key).is_some());
                // Any text is a key.
                assert!(
                    has_form || name == "Idempotency-Key",
                    "{method} {path}: {name}: {schema}"
                );
            }
            for number in operation["parameters"].as_array().into_iter().flatten() {
                let schema = &number["schema"];
                let is_bounded = schema["type"] != "integer" || schema["maximum"].is_u64();
                assert!(is_bounded, "{method} {path}: {number}");
            }
            if let Some(body) = operation.get("requestBody") {
                assert_eq!(body["required"], true, "{method} {path}");
            }
        }
    }

    #[test]
    fn openapi_operations_are_complete() {
        let document = completed();
        let mut ids = BTreeSet::new();
        for (path, method, operation) in operations(&document) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} is given twice");
            let what = format!("{method} {path}");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{what}"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert_eq!(
                responses["default"]["$ref"], "#/components/responses/Problem",
                "{what}"
            );
            assert!(responses.keys().any(|status| status.starts_with('2')), "{what}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let named: Vec<&str> = in_path
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(named, path_names(path).collect::<Vec<_>>(), "{what}");
            for parameter in &parameters {
                let description = parameter["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{what}: {parameter}");
            }
            let is_write = responses.contains_key("428");
            let condition =
                |parameter: &Value| parameter["name"] == "If-Match" || parameter["name"] == "If-None-Match";
            assert_eq!(parameters.iter().any(condition), is_write, "{what}");
            assert!(!example(path, method, operation).contains('{'), "{what}");
        }
    }

    #[test]
    fn openapi_links_lead_to_operations() {
        let document = completed();
        let ids: BTreeSet<&str> = operations(&document)
            .into_iter()
            .filter_map(|(_, _, operation)| operation["operationId"].as_str())
            .collect();
        let mut count = 0;
        for (path, method, operation) in operations(&document) {
            for (status, response) in operation["responses"].as_object().unwrap() {
                for (name, link) in response["links"].as_object().into_iter().flatten() {
                    let target = link["operationId"].as_str().unwrap();
                    assert!(ids.contains(target), "{method} {path} {status} {name}: {target}");
                    count += 1;
                }
            }
        }
        assert!(count > 20, "{count} links");
    }

    #[test]
    fn openapi_references_exist() {
        let document = completed();
        let text = document.to_string();
        let references = text
            .split("\"$ref\":\"#")
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
            count += 1;
        }
        assert!(count > 20, "{count} references");
        assert_eq!(document["openapi"], "3.1.0");
        let description = document["components"]["responses"]["Problem"]["description"]
            .as_str()
            .unwrap();
        for kind in ProblemKind::all() {
            assert!(description.contains(&format!("`{}`", kind.name())), "{kind:?}");
        }
    }
}
