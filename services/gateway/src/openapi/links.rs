//! PURE: links from the response of one operation to the next one, made from the paths: what is read can be written under the
//! condition that its ETag is, and what was written can be read.

use serde_json::{Map, Value, json};

use super::path_names;

/// Adds the links between the operations of one path.
pub(super) fn link(path: &str, item: &mut Map<String, Value>) {
    let id = |method: &str| Some(item.get(method)?["operationId"].as_str()?.to_owned());
    let (Some(get), Some(put)) = (id("get"), id("put")) else {
        return;
    };
    let same = || {
        let names =
            path_names(path).map(|name| (format!("path.{name}"), json!(format!("$request.path.{name}"))));
        names.collect::<Map<String, Value>>()
    };
    let is_conditional = item["put"]["parameters"]
        .as_array()
        .is_some_and(|parameters| parameters.iter().any(|parameter| parameter["name"] == "If-Match"));
    let read = json!({"operationId": get, "parameters": same(), "description": "Read what was stored."});
    add(&mut item["put"], "Read", &read);
    if is_conditional {
        let mut parameters = same();
        parameters.insert("header.If-Match".to_owned(), json!("$response.header.ETag"));
        let write = json!({
            "operationId": put,
            "parameters": parameters,
            "description": "Write if nothing was stored since.",
        });
        add(&mut item["get"], "Write", &write);
    }
}

/// Adds a link to every positive response of an operation.
fn add(operation: &mut Value, name: &str, link: &Value) {
    let responses = operation["responses"].as_object_mut();
    let positive = responses
        .into_iter()
        .flatten()
        .filter(|(status, _)| status.starts_with('2'));
    for (_, response) in positive {
        response["links"][name] = link.clone();
    }
}

/// Links a filed request to its state and its result, whose id is in the response.
pub(super) fn link_request(document: &mut Value, file: &str, reads: &[(&str, &str)]) {
    for (name, path) in reads {
        let Some(id) = document["paths"][*path]["get"]["operationId"]
            .as_str()
            .map(str::to_owned)
        else {
            continue;
        };
        let link = json!({"operationId": id, "parameters": {"path.id": "$response.body#/id"}});
        add(&mut document["paths"][file]["post"], name, &link);
    }
}
