//! The compile endpoints, so that the original command lines pointed here validate and process.
//!
//! An invalid configuration is an answer of status 200 that says so; only a body that is no
//! request is refused. A large configuration takes a hundred milliseconds of computing, so all of
//! it happens off the asynchronous threads.

use super::{large::Large, orbs::off_thread};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::Json;
use base::units::Bytes;
use orbs::Registry;
use pipeline::{Orbs, endpoints};
use serde_json::Value;

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/api/v2/compile-config-with-defaults", version_2)
        .post("/api/v3/configs/compile", version_3)
        // The text itself may have 8 MB; quoted as JSON it grows.
        .body_max(Bytes::mib(20))
}

pub(super) type Answered = Result<endpoints::Answer, endpoints::BodyError>;

pub(super) type Endpoint = fn(&Value, &Orbs) -> Answered;

/// Answers with the orbs that the text at `pointer` names.
pub(super) async fn answer(
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

async fn version_3(_: Viewer, state: State, large: Large<Value>) -> Result<Json<Value>, Failure> {
    let answered =
        answer(&state, large.body, "/data/attributes/config", endpoints::compile_v3).await?;
    answered.map(Json).map_err(|error| Failure::Invalid(error.to_string()))
}
