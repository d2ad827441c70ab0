//! The document of the API (OpenAPI 3.1), made of the verbs themselves.

use serde_json::{Map, Value, json};

use super::paths::{self, Place};
use crate::web::verbs::{Param, ParamKind, Verb};

/// The document.
#[must_use]
pub fn document(verbs: &[Verb]) -> Value {
    let mut all = Map::new();
    for verb in verbs {
        let place = paths::of(verb);
        let path = format!("/api/v1{}", place.path);
        let entry = all.entry(path).or_insert_with(|| json!({}));
        let has_show = verbs.iter().any(|one| one.noun == verb.noun && one.verb == "show");
        entry[place.method.to_lowercase()] = operation(verb, &place, has_show);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "lineman", "version": env!("CARGO_PKG_VERSION"),
            "description": "Everything that the commands can do, with the names and shapes of --json."},
        "security": [{"token": []}],
        "paths": all,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "lineman token add"}},
            "schemas": {"Problem": {
                "type": "object",
                "description": "RFC 9457",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
                    "detail": {"type": "string"}, "hint": {"type": ["string", "null"]}, "param": {"type": ["string", "null"]},
                    "code": {"type": "string"},
                },
            }},
            "responses": {"Problem": {
                "description": "Why it was not done.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }},
        },
    })
}

fn operation(verb: &Verb, place: &Place, has_show: bool) -> Value {
    let has_thing = place.path.contains("{key}");
    let in_body = matches!(place.method, "POST" | "PATCH" | "PUT");
    let is_thing = |param: &&Param| has_thing && verb.subject() == Some(param.name.as_str());
    let mut parameters = Vec::new();
    if has_thing {
        let about = verb.params.iter().find(is_thing).map_or("", |param| param.about.as_str());
        parameters.push(json!({"name": "key", "in": "path", "required": true, "description": about, "schema": {"type": "string"}}));
    }
    let rest: Vec<&Param> = verb.params.iter().filter(|param| !is_thing(param)).collect();
    if !in_body {
        for param in &rest {
            parameters.push(json!({"name": param.name, "in": "query", "required": param.required, "description": param.about,
                "schema": schema(param), "explode": true}));
        }
        if verb.verb == "list" && rest.iter().any(|param| param.name == "sort") {
            parameters.push(json!({"name": "after", "in": "query", "required": false, "schema": {"type": "integer"},
                "description": "Those whose id is larger, in the order of ids; the header Link has the next page."}));
        }
    }
    if !verb.only_asks() && verb.is_kept {
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false, "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            "description": "A word of yours: a call with the same one within a day is answered as the first one was."}));
        if has_thing && has_show {
            parameters.push(json!({"name": "If-Match", "in": "header", "required": false, "schema": {"type": "string"},
                "description": "The ETag of the thing as it was seen: where it is another one now, nothing is changed (412)."}));
        }
    }
    let mut operation = json!({
        "operationId": format!("{}-{}", verb.noun, verb.verb.replace(' ', "-")).trim_end_matches('-'),
        "tags": [verb.noun],
        "summary": verb.about,
        "description": verb.more,
        "parameters": parameters,
        "responses": responses(verb),
    });
    if in_body {
        operation["requestBody"] = body(&rest);
    }
    operation
}

fn body(params: &[&Param]) -> Value {
    let properties: Map<String, Value> = params
        .iter()
        .map(|param| {
            let mut schema = schema(param);
            schema["description"] = param.about.clone().into();
            (param.name.clone(), schema)
        })
        .collect();
    let required: Vec<&str> =
        params.iter().filter(|param| param.required).map(|param| param.name.as_str()).collect();
    let schema = json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required});
    json!({"required": !required.is_empty(), "content": {"application/json": {"schema": schema}}})
}

fn schema(param: &Param) -> Value {
    let one = match &param.kind {
        ParamKind::Switch => json!({"type": "boolean"}),
        ParamKind::Choice(words) => json!({"type": "string", "enum": words}),
        ParamKind::Number => json!({"type": "integer"}),
        ParamKind::Text => json!({"type": "string"}),
        ParamKind::Secret => json!({"type": "string", "writeOnly": true}),
    };
    if param.many { json!({"type": "array", "items": one}) } else { one }
}

fn responses(verb: &Verb) -> Value {
    let is_list = matches!(
        verb.verb.as_str(),
        "list" | "outbox" | "" | "history" | "parents" | "explain" | "availability"
    );
    let shape = if is_list {
        json!({"type": "array", "items": {"type": "object"}})
    } else {
        json!({"type": ["object", "array", "string", "null"]})
    };
    let good = json!({"description": "Done.", "content": {"application/json": {"schema": shape}}});
    let is_new = matches!(verb.verb.split(' ').next(), Some("add" | "open"));
    let mut all = Map::new();
    all.insert(if is_new { "201" } else { "200" }.to_owned(), good.clone());
    if is_new {
        all.insert("200".to_owned(), good);
    }
    let problem = json!({"$ref": "#/components/responses/Problem"});
    for status in ["400", "401", "403", "404", "409", "412", "413", "422", "429", "500"] {
        all.insert(status.to_owned(), problem.clone());
    }
    if verb.verb == "show" {
        all.insert("304".to_owned(), json!({"description": "It is as it was seen."}));
    }
    Value::Object(all)
}
