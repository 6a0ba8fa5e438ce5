//! The compile endpoints as functions from body to body, so that the official command line can be
//! pointed here: `POST /api/v2/compile-config-with-defaults`, `POST /api/v3/configs/compile` and
//! `buildConfig` / `orbConfig` of `/graphql-unstable`.
//!
//! An invalid configuration is still an answer of status 200. Values that the caller does not give
//! are the placeholders of [`Values::local`].

use crate::{
    compile::{Compilation, compile},
    diagnostic::Diagnostic,
    orb::validate_orb,
    orbs::Orbs,
    processed::process,
    request::{Request, Values},
};
use base::trigger::ParameterValue;
use indexmap::IndexMap;
use serde_json::{Value, json};

/// An answer, and what the compiler lacked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The body.
    pub body: Value,
    /// References to orbs that were not given, filled in.
    pub absent: Vec<String>,
}

/// A body that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(&'static str);

/// What the compile endpoint of API v2 answers.
///
/// # Errors
/// `config_yaml` is missing.
pub fn compile_v2(body: &Value, orbs: &Orbs) -> Result<Answer, BodyError> {
    let text = body
        .get("config_yaml")
        .and_then(Value::as_str)
        .ok_or(BodyError("config_yaml: a text is required"))?;
    let options = body.get("options").unwrap_or(&Value::Null);
    let compilation = compile(
        text,
        &request(options.get("pipeline_values"), options.get("pipeline_parameters"), orbs),
    );
    let body = json!({
        "valid": compilation.config.is_some(),
        "source-yaml": text,
        "output-yaml": output(&compilation),
        "errors": messages(compilation.errors(), "message"),
    });
    Ok(Answer { body, absent: compilation.absent })
}

/// What the compile endpoint of API v3 answers.
///
/// # Errors
/// `data.attributes.config` is missing.
pub fn compile_v3(body: &Value, orbs: &Orbs) -> Result<Answer, BodyError> {
    let attributes = body.pointer("/data/attributes").unwrap_or(&Value::Null);
    let text = attributes
        .get("config")
        .and_then(Value::as_str)
        .ok_or(BodyError("data.attributes.config: a text is required"))?;
    let compilation = compile(
        text,
        &request(attributes.get("pipeline_values"), attributes.get("pipeline_parameters"), orbs),
    );
    let outcome = if compilation.config.is_some() { "succeeded" } else { "failed" };
    let body = json!({
        "data": { "attributes": { "outcome": outcome, "phase": "ended", "compiled_config": output(&compilation) } },
        "meta": { "messages": titles(compilation.errors()) },
    });
    Ok(Answer { body, absent: compilation.absent })
}

/// What `buildConfig` answers; `variables` as the official command line names them.
///
/// # Errors
/// `config` is missing.
pub fn build_config(variables: &Value, orbs: &Orbs) -> Result<Answer, BodyError> {
    let text = variables
        .get("config")
        .and_then(Value::as_str)
        .ok_or(BodyError("config: a text is required"))?;
    let parameters = variables
        .get("pipelineParametersJson")
        .and_then(Value::as_str)
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let values: Value = variables
        .get("pipelineValues")
        .and_then(Value::as_array)
        .map(|list| {
            list.iter()
                .filter_map(|pair| {
                    Some((pair.get("key")?.as_str()?.to_owned(), pair.get("val")?.clone()))
                })
                .collect()
        })
        .unwrap_or(Value::Null);
    let compilation = compile(text, &request(Some(&values), parameters.as_ref(), orbs));
    let body = json!({ "buildConfig": {
        "valid": compilation.config.is_some(),
        "errors": messages(compilation.errors(), "message"),
        "sourceYaml": text,
        "outputYaml": output(&compilation),
    } });
    Ok(Answer { body, absent: compilation.absent })
}

/// What `orbConfig` answers: whether an orb's source is valid.
///
/// # Errors
/// `config` is missing.
pub fn orb_config(variables: &Value, orbs: &Orbs) -> Result<Answer, BodyError> {
    let text = variables
        .get("config")
        .and_then(Value::as_str)
        .ok_or(BodyError("config: a text is required"))?;
    let found = validate_orb(text, "orb.yml", orbs);
    let errors = messages(found.iter().filter(|found| found.is_error()), "message");
    let body = json!({ "orbConfig": { "valid": errors.is_empty(), "errors": errors, "sourceYaml": text, "outputYaml": text } });
    Ok(Answer { body, absent: vec![] })
}

fn output(compilation: &Compilation) -> String {
    compilation.config.as_ref().map(process).unwrap_or_default()
}

fn messages<'a>(errors: impl Iterator<Item = &'a Diagnostic>, key: &str) -> Vec<Value> {
    errors
        .map(|error| {
            let hint = error.hint.as_ref().map(|hint| format!("\n({hint})")).unwrap_or_default();
            json!({ key: format!("{}: {}{hint}", error.place(), error.original_text()) })
        })
        .collect()
}

/// Version 1 of the command line makes each line a message of its own.
fn titles<'a>(errors: impl Iterator<Item = &'a Diagnostic>) -> Vec<Value> {
    let one_line = |message: &Value| {
        let text = message["title"].as_str().unwrap_or_default();
        json!({ "title": text.lines().map(str::trim).collect::<Vec<_>>().join(" ") })
    };
    messages(errors, "title").iter().map(one_line).collect()
}

fn request(values: Option<&Value>, parameters: Option<&Value>, orbs: &Orbs) -> Request {
    let mut known = Values::local();
    for (name, value) in values.and_then(Value::as_object).into_iter().flatten() {
        let name = name.strip_prefix("pipeline.").unwrap_or(name);
        if let Some(value) = scalar(value) {
            known.put(name, typed(name, value));
        }
    }
    let parameters: IndexMap<String, ParameterValue> = parameters
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), scalar(value)?)))
        .collect();
    Request { values: known, parameters, orbs: orbs.clone(), ..Request::default() }
}

/// The command line sends all values as texts; two of them have other types.
fn typed(name: &str, value: ParameterValue) -> ParameterValue {
    match (name, &value) {
        ("number", ParameterValue::String(text)) => {
            text.parse().map(ParameterValue::Integer).unwrap_or(value)
        }
        ("git.branch.is_default", ParameterValue::String(text)) => {
            ParameterValue::Boolean(text == "true")
        }
        _ => value,
    }
}

fn scalar(value: &Value) -> Option<ParameterValue> {
    match value {
        Value::Bool(on) => Some(ParameterValue::Boolean(*on)),
        Value::Number(number) => {
            Some(number.as_i64().map_or_else(
                || ParameterValue::String(number.to_string()),
                ParameterValue::Integer,
            ))
        }
        Value::String(text) => Some(ParameterValue::String(text.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: 2.1\nparameters: {p: {type: string, default: d}}\njobs:\n  build:\n    machine: true\n    steps: [run: 'echo << pipeline.parameters.p >> << pipeline.number >>']\n";

    #[test]
    fn version_2_answers_as_the_original() {
        let answer = compile_v2(&json!({ "config_yaml": TEXT, "options": { "pipeline_parameters": { "p": "x" }, "pipeline_values": { "number": "7" } } }), &Orbs::default()).unwrap().body;
        assert_eq!(answer["valid"], true);
        assert_eq!(answer["source-yaml"], TEXT);
        assert!(answer["output-yaml"].as_str().unwrap().contains("command: echo x 7"));
        assert_eq!(answer["errors"], json!([]));
        let invalid = compile_v2(
            &json!({ "config_yaml": "version: 2.1\njobs: {build: {}}" }),
            &Orbs::default(),
        )
        .unwrap()
        .body;
        assert_eq!((&invalid["valid"], &invalid["output-yaml"]), (&json!(false), &json!("")));
        assert!(!invalid["errors"].as_array().unwrap().is_empty());
        assert!(compile_v2(&json!({}), &Orbs::default()).is_err());
    }

    #[test]
    fn version_3_and_graphql_answer_too() {
        let v3 =
            compile_v3(&json!({ "data": { "attributes": { "config": TEXT } } }), &Orbs::default())
                .unwrap()
                .body;
        assert_eq!(v3["data"]["attributes"]["outcome"], "succeeded");
        let graphql = build_config(&json!({ "config": TEXT, "pipelineParametersJson": "{\"p\":\"y\"}", "pipelineValues": [{ "key": "number", "val": "3" }] }), &Orbs::default()).unwrap().body;
        assert!(graphql["buildConfig"]["outputYaml"].as_str().unwrap().contains("echo y 3"));
        let orb = orb_config(
            &json!({ "config": "version: 2.1\ncommands: {c: {steps: [run: x]}}" }),
            &Orbs::default(),
        )
        .unwrap()
        .body;
        assert_eq!(orb["orbConfig"]["valid"], true);
    }
}
