//! The paths of API v2 that are served here, as OpenAPI, made from the table of routes.
//!
//! Why: version 0.1 of the official command line asks for it and looks for `/context` before it
//! speaks REST about contexts; generated clients and people learn from it what is here.
//! Limits: paths, methods and who may call them; no bodies.

use crate::{
    State,
    access::{Entry, Public, Routes},
};
use axum::Json;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

const BASE: &str = "/api/v2";

static PATHS: LazyLock<Value> = LazyLock::new(|| paths(&crate::table()));

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v2/openapi.json", document)
}

/// Open to everybody, as on the original: it tells nothing of this site.
async fn document(_: Public, state: State) -> Json<Value> {
    Json(json!({
        "openapi": "3.0.3",
        "info": { "title": "appliance", "version": state.config.version },
        "servers": [{ "url": format!("{}{BASE}", state.config.base_url) }],
        "paths": *PATHS,
        "components": { "securitySchemes": {
            "token": { "type": "apiKey", "in": "header", "name": "Circle-Token" },
        } },
    }))
}

fn paths(table: &[Entry]) -> Value {
    let mut paths = Map::new();
    for entry in table {
        let Some(path) = entry.path.strip_prefix(BASE).filter(|path| path.starts_with('/')) else {
            continue;
        };
        let operations = paths.entry(path).or_insert_with(|| json!({}));
        operations[entry.method.to_lowercase()] = operation(path, entry.permit);
    }
    Value::Object(paths)
}

fn operation(path: &str, permit: &str) -> Value {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameters: Vec<Value> = names
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let security = if permit == "public" { json!([]) } else { json!([{ "token": [] }]) };
    json!({
        "description": format!("For: {permit}."),
        "parameters": parameters,
        "security": security,
        "responses": { "default": { "description": "JSON; a refusal has a `message`." } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_served_path_of_version_2_is_named_and_no_other() {
        let named = paths(&crate::table());
        assert!(named["/context"]["get"].is_object() && named["/context"]["post"].is_object());
        let parameters = &named["/context/{id}/environment-variable/{name}"]["put"]["parameters"];
        assert_eq!(parameters[1]["name"], "name");
        assert_eq!(named["/pipeline/continue"]["post"]["security"], json!([]));
        let operations: usize =
            named.as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        let table = crate::table();
        assert_eq!(
            operations,
            table.iter().filter(|entry| entry.path.starts_with("/api/v2/")).count()
        );
    }
}
