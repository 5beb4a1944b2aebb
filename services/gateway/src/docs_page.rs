//! The description of the interface as one page of HTML that loads nothing.

use std::fmt::Write;

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use web::interface::problem::ProblemKind;

/// The style of the page. It is inline, and the policy of the page names its digest.
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
h2{margin-top:2em;border-bottom:1px solid #ccc}h3{font:600 15px ui-monospace,monospace;margin-top:2em}\
code,pre{font:13px ui-monospace,monospace;background:#f4f4f4}pre{padding:.7em;overflow-x:auto}\
table{border-collapse:collapse;width:100%}td,th{border:1px solid #ddd;padding:.3em .6em;text-align:left;vertical-align:top}\
.method{display:inline-block;min-width:4.5em}@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}\
code,pre{background:#2a2a2a}td,th{border-color:#444}}";

/// Renders the page, and the content security policy with which it is served.
pub(crate) fn render(document: &Value) -> (String, String) {
    let digest = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut page = String::new();
    let title = escape(document["info"]["title"].as_str().unwrap_or_default());
    let version = escape(document["info"]["version"].as_str().unwrap_or_default());
    let description = escape(document["info"]["description"].as_str().unwrap_or_default());
    // Writing into a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>\
         <h1>{title} {version}</h1><p>{description}</p><p>The same as OpenAPI 3.1: <a href=\"/openapi.json\">/openapi.json</a>. \
         Authenticate with the party's client certificate, or with a bearer token as in the examples.</p>"
    );
    for tag in tags(document) {
        let _ = write!(page, "<h2>{}</h2>", escape(&tag));
        for (path, method, operation) in operations(document) {
            if tag_of(operation) == tag {
                render_operation(&mut page, path, method, operation);
            }
        }
    }
    render_problems(&mut page);
    page.push_str("</body></html>\n");
    (page, policy)
}

/// Returns path, method and content of each operation.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn tag_of(operation: &Value) -> &str {
    operation["tags"][0].as_str().unwrap_or("Other")
}

/// Returns the tags in the order of the paths.
fn tags(document: &Value) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (_, _, operation) in operations(document) {
        let tag = tag_of(operation);
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

fn render_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let upper = method.to_uppercase();
    let _ = write!(
        page,
        "<h3 id=\"{}\"><span class=\"method\">{upper}</span>{}</h3><p>{}</p>",
        text(&operation["operationId"]),
        escape(path),
        text(&operation["summary"])
    );
    if operation["description"].is_string() && operation["description"] != operation["summary"] {
        let _ = write!(page, "<p>{}</p>", text(&operation["description"]));
    }
    let parameters = operation["parameters"].as_array();
    if let Some(parameters) = parameters.filter(|parameters| !parameters.is_empty()) {
        page.push_str("<table><tr><th>parameter</th><th>in</th><th>required</th><th>meaning</th></tr>");
        for parameter in parameters {
            let is_required = parameter["required"].as_bool().unwrap_or_default();
            let _ = write!(
                page,
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                if is_required { "yes" } else { "no" },
                text(&parameter["description"])
            );
        }
        page.push_str("</table>");
    }
    page.push_str("<table><tr><th>status</th><th>meaning</th></tr>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        if status != "default" {
            let meaning = text(&response["description"]);
            let _ = write!(page, "<tr><td>{}</td><td>{meaning}</td></tr>", escape(status));
        }
    }
    page.push_str("<tr><td>other</td><td>a <a href=\"#problems\">problem</a></td></tr></table>");
    let _ = write!(page, "<pre>{}</pre>", escape(&example(path, method, operation)));
}

/// Returns an example with curl.
pub(crate) fn example(path: &str, method: &str, operation: &Value) -> String {
    let mut path = path.to_owned();
    for (name, value) in EXAMPLES {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    let mut command = "curl --fail-with-body --cacert ca.pem -H \"Authorization: Bearer $TOKEN\"".to_owned();
    if method != "get" {
        let _ = write!(command, " \\\n  -X {}", method.to_uppercase());
    }
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let is_required = parameter["required"].as_bool().unwrap_or_default();
        match (parameter["in"].as_str(), parameter["name"].as_str()) {
            (Some("header"), Some("If-Match")) => command.push_str(" \\\n  -H 'If-Match: \"17\"'"),
            (Some("header"), Some("If-None-Match")) => command.push_str(" \\\n  -H 'If-None-Match: *'"),
            (Some("query"), Some("filter")) => query.push("filter=data.insurer-a.%3E"),
            (Some("query"), Some("max")) => query.push("max=100"),
            (Some("query"), Some("recipient")) if is_required => query.push("recipient=insurer-a"),
            _ => {}
        }
    }
    let content = operation["requestBody"]["content"].as_object();
    if let Some(media_type) = content.and_then(|content| content.keys().next()) {
        let _ = write!(
            command,
            " \\\n  -H 'Content-Type: {media_type}' --data-binary @message"
        );
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let _ = write!(command, " \\\n  \"https://gateway.example:8443{path}\"");
    command
}

/// What the names in a path are in the examples.
const EXAMPLES: &[(&str, &str)] = &[
    ("recipient", "insurer-a"),
    ("feed", "claims"),
    ("queue", "chunks"),
    ("id", "20260131-abcdefgh"),
    ("attempt", "1"),
    ("number", "1"),
    ("officer", "li_na"),
    ("source", "core"),
    ("party", "insurer-a"),
    ("writer", "commercial"),
    ("stream", "data"),
];

fn render_problems(page: &mut String) {
    page.push_str(
        "<h2 id=\"problems\">Problems</h2><p>An error is a JSON object of the media type application/problem+json (RFC 9457) \
         with type, title, status, detail, remedy and request_id. The type and the status are stable.</p>\
         <table><tr><th>status</th><th>type</th><th>title</th><th>remedy</th></tr>",
    );
    for kind in ProblemKind::all() {
        let _ = write!(
            page,
            "<tr id=\"{}\"><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            kind.name(),
            kind.status(),
            escape(&kind.type_uri()),
            escape(kind.title()),
            escape(kind.remedy())
        );
    }
    page.push_str("</table>");
}

/// PURE: escapes text for HTML, in content and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            character => escaped.push(character),
        }
    }
    escaped
}
