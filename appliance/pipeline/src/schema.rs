//! The language as a JSON schema (draft 7), for editors.
//!
//! It covers shapes and key names; what needs the whole file (names, arguments, requirements) is
//! [`crate::compile`]'s. Every value may also be an expression, which the schema lets through.

use serde_json::{Value, json};

/// The schema.
#[must_use]
pub fn json_schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": ".circleci/config.yml",
        "type": "object",
        "required": ["version"],
        "properties": {
            "version": { "enum": [2, 2.0, 2.1, "2", "2.0", "2.1"], "description": "2.1 enables parameters, commands, executors and orbs" },
            "setup": { "type": "boolean", "description": "continue this pipeline with another configuration" },
            "orbs": { "type": "object", "additionalProperties": { "anyOf": [reference("orbReference"), reference("inlineOrb")] } },
            "parameters": { "type": "object", "additionalProperties": reference("pipelineParameter") },
            "executors": elements_of("executor"),
            "commands": elements_of("command"),
            "jobs": elements_of("job"),
            "job-groups": { "type": "object", "additionalProperties": closed(&[("jobs", list_of("invocation"))], &["jobs"]) },
            "workflows": workflows(),
        },
        "definitions": definitions(),
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn map_of(name: &str) -> Value {
    json!({ "type": "object", "additionalProperties": reference(name) })
}

/// Elements by name; one may be only the name of another, `name` or `orb/name`.
fn elements_of(name: &str) -> Value {
    let body = json!({ "anyOf": [reference(name), { "type": "string", "minLength": 1 }] });
    json!({ "type": "object", "additionalProperties": body })
}

fn list_of(name: &str) -> Value {
    json!({ "type": "array", "items": reference(name) })
}

/// An object that takes these keys alone.
fn closed(keys: &[(&str, Value)], required: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

/// A value of the type, or an expression that gives one.
fn or_expression(kind: &str) -> Value {
    json!({ "anyOf": [{ "type": kind }, reference("expression")] })
}

fn texts() -> Value {
    json!({ "anyOf": [text(), { "type": "array", "items": text() }] })
}

fn workflows() -> Value {
    json!({
        "type": "object",
        "properties": { "version": { "enum": [2, 2.0, 2.1, "2"] } },
        "additionalProperties": closed(
            &[
                ("jobs", json!({ "type": "array", "minItems": 1, "items": reference("invocation") })),
                ("when", reference("condition")),
                ("unless", reference("condition")),
                ("triggers", json!({ "type": "array" })),
                ("max_auto_reruns", json!({ "type": "integer", "minimum": 1, "maximum": 5 })),
            ],
            &["jobs"],
        ),
    })
}

fn definitions() -> Value {
    let environment = json!({ "anyOf": [{ "type": "object" }, { "type": "array" }] });
    let mut all = json!({
        "expression": { "type": "string", "pattern": "<<" },
        "orbReference": { "type": "string", "pattern": "^(https://|[a-z][a-z0-9_-]+/[a-z][a-z0-9_-]+@|.*<<)" },
        "inlineOrb": { "type": "object", "properties": { "jobs": elements_of("job"), "commands": elements_of("command"), "executors": elements_of("executor") } },
        "environment": environment,
        "condition": { "anyOf": [{ "type": ["boolean", "number", "string"] }, {
            "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
            "properties": {
                "and": list_of("condition"), "or": list_of("condition"), "not": reference("condition"),
                "equal": { "type": "array", "minItems": 1 },
                "matches": closed(&[("pattern", text()), ("value", text())], &["pattern", "value"]),
            },
        }] },
        "filter": closed(&[("only", texts()), ("ignore", texts())], &[]),
        "steps": { "anyOf": [list_of("step"), reference("step")] },
        "command": closed(&[("description", text()), ("parameters", map_of("parameter")), ("steps", reference("steps"))], &["steps"]),
    });
    let parts = [
        ("parameter", parameter(&["executor", "steps", "env_var_name"], &["type"])),
        ("pipelineParameter", parameter(&[], &["type", "default"])),
        ("docker", docker()),
        ("executor", executor()),
        ("job", job()),
        ("invocation", invocation()),
        ("step", step()),
    ];
    if let Some(map) = all.as_object_mut() {
        map.extend(parts.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    all
}

fn parameter(more: &[&str], required: &[&str]) -> Value {
    let types: Vec<&str> =
        ["string", "boolean", "integer", "enum"].into_iter().chain(more.iter().copied()).collect();
    closed(
        &[
            ("type", json!({ "enum": types })),
            ("default", json!({})),
            ("description", text()),
            ("enum", json!({ "type": "array", "minItems": 1 })),
        ],
        required,
    )
}

fn docker() -> Value {
    let open = json!({ "type": "object" });
    let image = closed(
        &[
            ("image", text()),
            ("name", text()),
            ("entrypoint", texts()),
            ("command", texts()),
            ("user", text()),
            ("environment", reference("environment")),
            ("auth", open.clone()),
            ("aws_auth", open.clone()),
            ("gcp_auth", open),
        ],
        &["image"],
    );
    json!({ "type": "array", "minItems": 1, "items": image })
}

fn where_it_runs() -> Vec<(&'static str, Value)> {
    vec![
        ("docker", reference("docker")),
        ("machine", json!({ "type": ["boolean", "string", "object"] })),
        ("macos", json!({ "type": "object", "required": ["xcode"] })),
        ("environment", reference("environment")),
        ("working_directory", text()),
        ("shell", text()),
        ("resource_class", text()),
        ("description", text()),
        ("parameters", map_of("parameter")),
    ]
}

fn executor() -> Value {
    closed(&where_it_runs(), &[])
}

fn job() -> Value {
    let mut keys = where_it_runs();
    keys.extend([
        ("executor", json!({ "type": ["string", "object"] })),
        ("steps", reference("steps")),
        ("parallelism", or_expression("integer")),
        (
            "retention",
            closed(
                &[("caches", json!({ "type": "string", "pattern": "^([1-9]|[12][0-9]|30)d$" }))],
                &[],
            ),
        ),
        ("circleci_ip_ranges", or_expression("boolean")),
        ("branches", reference("filter")),
        ("type", json!({ "enum": ["build", "release", "approval", "no-op", "lock", "unlock"] })),
        ("plan_name", text()),
    ]);
    json!({ "anyOf": [closed(&keys, &[]), { "type": "null" }] })
}

fn invocation() -> Value {
    // Other keys are arguments of the job.
    let keys = json!({
        "type": ["object", "null"],
        "properties": {
            "requires": { "anyOf": [{ "type": "array" }, reference("expression")] },
            "name": text(),
            "context": texts(),
            "type": { "enum": ["build", "release", "approval", "no-op", "lock", "unlock"] },
            "filters": { "anyOf": [closed(&[("branches", reference("filter")), ("tags", reference("filter"))], &[]), { "type": "string" }] },
            "matrix": closed(&[("parameters", json!({ "type": "object" })), ("exclude", json!({ "type": "array" })), ("alias", text())], &["parameters"]),
            "pre-steps": reference("steps"),
            "post-steps": reference("steps"),
            "serial-group": { "type": "string", "maxLength": 512 },
            "override-with": { "type": "string" },
        },
    });
    json!({ "anyOf": [{ "type": "string" }, { "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": keys }] })
}

fn step() -> Value {
    let conditional = closed(
        &[("condition", reference("condition")), ("steps", reference("steps"))],
        &["condition", "steps"],
    );
    let when = json!({ "enum": ["on_success", "on_fail", "always"] });
    let plain = |keys: &[&'static str], required: &[&str]| {
        let mut all: Vec<(&str, Value)> = keys
            .iter()
            .map(|key| (*key, if key.ends_with('s') { texts() } else { text() }))
            .collect();
        all.extend([("name", text()), ("when", when.clone())]);
        closed(&all, required)
    };
    let run = closed(
        &[
            ("command", text()),
            ("name", text()),
            ("shell", text()),
            ("environment", reference("environment")),
            ("background", or_expression("boolean")),
            ("working_directory", text()),
            ("no_output_timeout", text()),
            ("when", json!({ "type": "string" })),
            ("max_auto_reruns", or_expression("integer")),
            ("auto_rerun_delay", text()),
        ],
        &["command"],
    );
    json!({ "anyOf": [{ "type": "string" }, {
        "type": "object", "minProperties": 1, "maxProperties": 1,
        "properties": {
            "run": { "anyOf": [text(), run] },
            "when": conditional, "unless": conditional,
            "save_cache": plain(&["key", "paths"], &["key", "paths"]),
            "restore_cache": plain(&["key", "keys", "paths"], &[]),
            "persist_to_workspace": plain(&["root", "paths"], &["root", "paths"]),
            "attach_workspace": plain(&["at"], &["at"]),
            "store_artifacts": plain(&["path", "destination"], &["path"]),
            "store_test_results": plain(&["path"], &["path"]),
            "steps": reference("steps"),
        },
    }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_defined() {
        let schema = json_schema();
        let text = schema.to_string();
        for part in text.split("#/definitions/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schema["definitions"].get(name).is_some(), "{name}");
        }
    }
}
