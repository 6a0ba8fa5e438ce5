//! The compile endpoints, so that the original command lines pointed here validate and process.
//!
//! An invalid configuration is an answer of status 200 that says so; only a body that is no
//! request is refused. A large configuration takes a hundred milliseconds of computing, so all of
//! it happens off the asynchronous threads.

use super::{large::Large, orb_queries, orbs::off_thread};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::Json;
use base::units::Bytes;
use http::StatusCode;
use orbs::Registry;
use pipeline::{Orbs, endpoints};
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v2/compile-config-with-defaults", version_2)
        .post("/api/v3/configs/compile", version_3)
        .post("/graphql-unstable", graphql)
        // The text itself may have 8 MB; quoted as JSON it grows.
        .body_max(Bytes::mib(20))
}

type Answered = Result<endpoints::Answer, endpoints::BodyError>;

type Endpoint = fn(&Value, &Orbs) -> Answered;

/// Answers with the orbs that the text at `pointer` names.
async fn answer(
    state: &State,
    body: Value,
    pointer: &'static str,
    endpoint: Endpoint,
) -> Result<Result<Value, endpoints::BodyError>, Failure> {
    off_thread(state, move |registry: &Registry| {
        let text = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let absent = |answered: &Answered| match answered {
            Ok(answer) => answer.absent.clone(),
            Err(_) => vec![],
        };
        let answered = registry.compile_with(text, |orbs| endpoint(&body, orbs), absent)?;
        Ok(answered.map(|answer| answer.body))
    })
    .await
}

async fn version_2(_: Viewer, state: State, large: Large<Value>) -> Result<Json<Value>, Failure> {
    let answered = answer(&state, large.body, "/config_yaml", endpoints::compile_v2).await?;
    answered.map(Json).map_err(|error| Failure::Invalid(error.to_string()))
}

async fn version_3(
    _: Viewer,
    state: State,
    large: Large<Value>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let answered =
        answer(&state, large.body, "/data/attributes/config", endpoints::compile_v3).await?;
    Ok(match answered {
        Ok(value) => (StatusCode::OK, Json(value)),
        // Version 3 has its own form of errors.
        Err(error) => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": { "title": "Bad request", "detail": error.to_string() } })),
        ),
    })
}

/// A query is told by the field that it asks for; the official command line sends a handful.
async fn graphql(
    Viewer(user): Viewer,
    state: State,
    large: Large<Value>,
) -> Result<Json<Value>, Failure> {
    let body = large.body;
    let query = body["query"].as_str().unwrap_or_default().to_owned();
    let fields = orb_queries::root_fields(&query);
    let asks = |field: &str| fields.contains(&field);
    let answered = if asks("buildConfig") {
        answer(&state, body["variables"].clone(), "/config", endpoints::build_config).await?
    } else if asks("orbConfig") {
        answer(&state, body["variables"].clone(), "/config", endpoints::orb_config).await?
    } else if fields.iter().any(|field| orb_queries::FIELDS.contains(field)) {
        Ok(orbs(&state, query, body["variables"].clone()).await?)
    } else if asks("me") {
        Ok(json!({ "me": { "id": user.id.to_string(), "name": user.login, "login": user.login } }))
    } else {
        let told = "this appliance answers buildConfig, orbConfig, orb, orbs, orbVersion, orbCategories, registryNamespace and me; orbs are imported with `appliance orb import`";
        return Ok(Json(json!({ "data": null, "errors": [{ "message": told }] })));
    };
    Ok(Json(match answered {
        Ok(data) => json!({ "data": data }),
        Err(error) => json!({ "data": null, "errors": [{ "message": error.to_string() }] }),
    }))
}

/// What `orb list`, `orb source` and `orb info` ask.
async fn orbs(state: &State, query: String, variables: Value) -> Result<Value, Failure> {
    off_thread(state, move |registry: &Registry| {
        let fields = orb_queries::root_fields(&query);
        let known = fields.into_iter().filter(|field| orb_queries::FIELDS.contains(field));
        let answers = known.map(|field| {
            let value = orb_queries::answer(registry, field, &query, &variables)?;
            Ok::<_, orbs::Error>((field.to_owned(), value))
        });
        answers.collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
    })
    .await
}
