//! The compile endpoint, so that the original command line pointed here validates and processes.

use crate::{
    access::{Routes, Viewer},
    error::Failure,
};
use axum::Json;
use base::{trigger::ParameterValue, units::Bytes};
use indexmap::IndexMap;
use pipeline::{Request, Values};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    // The text itself may have 8 MB; quoted as JSON it grows.
    Routes::new().post("/api/v2/compile-config-with-defaults", compile).body_max(Bytes::mib(20))
}

/// Body of a compilation.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    config_yaml: String,
    #[serde(default)]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    pipeline_parameters: Option<IndexMap<String, ParameterValue>>,
    pipeline_values: Option<IndexMap<String, ParameterValue>>,
}

async fn compile(_: Viewer, Json(wanted): Json<Wanted>) -> Result<Json<Value>, Failure> {
    // A large configuration takes a hundred milliseconds of computing.
    tokio::task::spawn_blocking(move || Json(answer(wanted))).await.map_err(Failure::inside)
}

fn answer(wanted: Wanted) -> Value {
    let mut values = Values::local();
    for (name, value) in wanted.options.pipeline_values.unwrap_or_default() {
        values.put(name.strip_prefix("pipeline.").unwrap_or(&name), value);
    }
    let parameters = wanted.options.pipeline_parameters.unwrap_or_default();
    let request = Request { values, parameters, ..Request::default() };
    let done = pipeline::compile(&wanted.config_yaml, &request);
    let errors: Vec<Value> = done
        .diagnostics
        .iter()
        .filter(|d| d.is_error())
        .map(|d| json!({ "message": d.original_text() }))
        .collect();
    json!({
        "valid": done.config.is_some(),
        "source-yaml": wanted.config_yaml,
        "output-yaml": done.config.as_ref().map(pipeline::process).unwrap_or_default(),
        "errors": errors,
    })
}
